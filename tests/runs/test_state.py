"""Of a version's states only the latest counts, and only that is kept."""

from __future__ import annotations

from pathlib import Path

import torch

from lorasweep.runs import paths, state


def test_the_latest_state_is_loaded_and_the_older_ones_go(tmp_path: Path) -> None:
    first = state.save_state(tmp_path, 9, {"w": torch.tensor(9.0)}, {"note": "early"})
    kept = first.read_bytes()
    second = state.save_state(tmp_path, 12, {"w": torch.tensor(12.0)}, {"note": "late"})
    assert paths.states(tmp_path) == [second]
    first.write_bytes(kept)  # as a kill between the two leaves it
    found = state.load_state(tmp_path)
    assert found is not None and state.latest(tmp_path) == (second, 12)
    assert found[0]["w"].item() == 12 and found[1] == {"step": 12, "note": "late"}
