"""Versions as trials of a study."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lorasweep.runs.record import Epoch, Record
from lorasweep.studies.trials import _earlier, _trained


def version(root: Path, number: int, trial: int | None) -> Path:
    folder = root / "bear" / f"v{number}"
    folder.mkdir(parents=True)
    mark = None if trial is None else {"study": "s", "number": trial}
    (folder / "record.json").write_text(json.dumps({"name": "Bear", "version": number, "trial": mark}))
    return folder


def trial(*attempts: tuple[int, Path | None]) -> Any:
    """Return a trial with earlier attempts, the latest first: their numbers, and the folders that they told of."""
    found = [SimpleNamespace(number=n, user_attrs={"folder": str(f)} if f else {}) for n, f in attempts]
    return SimpleNamespace(study_name="s", attempts=found)


@pytest.mark.parametrize("told", [True, False])
def test_a_retry_goes_on_from_the_latest_attempt_that_had_a_folder(tmp_path: Path, told: bool) -> None:
    first = version(tmp_path, 6, 0)
    version(tmp_path, 7, None)
    noted = first if told else None  # it may have been killed before it could tell
    assert _earlier(trial((0, noted)), str(tmp_path), "Bear") == first
    # The second attempt was killed before it had a folder: the chain leads on.
    assert _earlier(trial((3, None), (0, noted)), str(tmp_path), "Bear") == first
    second = version(tmp_path, 8, 3)
    assert _earlier(trial((3, None), (0, noted)), str(tmp_path), "Bear") == second
    assert _earlier(trial((3, tmp_path / "gone"), (0, noted)), str(tmp_path), "Bear") == first


@pytest.mark.parametrize("status", ["complete", "interrupted", "running"])
def test_only_a_complete_version_goes_on_waiting_for_votes(tmp_path: Path, status: str) -> None:
    folder = version(tmp_path, 6, 0)
    record = Record.read(folder)
    record.status, record.epochs, record.selected_epoch = status, [Epoch(1, step=12)], 1
    record.write()
    outcome = _trained(folder)
    if status != "complete":
        assert outcome is None
    else:
        assert outcome is not None and (outcome.folder, outcome.number, outcome.steps) == (folder, 6, 12)
    assert _trained(None) is None


def test_a_first_attempt_has_nothing_to_go_on_from(tmp_path: Path) -> None:
    version(tmp_path, 6, 0)
    assert _earlier(trial(), str(tmp_path), "Bear") is None
