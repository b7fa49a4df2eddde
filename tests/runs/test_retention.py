"""Which files stay, and that a kill between two operations of their removal loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorasweep import files
from lorasweep.runs import lock, paths, retention
from lorasweep.runs.record import Epoch, Record
from lorasweep.schema.measures import METRICS


def entries(*saved: int, of: int = 8) -> list[Epoch]:
    files = {epoch: f"Bear_v6-{epoch:06d}.safetensors" for epoch in saved}
    return [Epoch(epoch, step=epoch, file=files.get(epoch)) for epoch in range(1, of + 1)]


@pytest.mark.parametrize(
    ("saved", "selected", "keep", "gone"),
    [
        ((1, 2, 3, 4, 5), 2, 1, [1, 3, 4]),
        ((1, 2, 3, 4, 5), 5, 1, [1, 2, 3, 4]),
        ((1, 2, 3, 4, 5), 1, 2, [2, 3]),
        ((1, 2, 3), 2, 3, []),
        ((1, 2, 3), 2, 9, []),
        ((2, 4, 6), 4, 1, [2]),
        ((1, 2, 3), None, 1, [1, 2]),
        ((1, 2), 1, 0, [2]),
        ((), None, 1, []),
    ],
)
def test_the_selected_and_the_last_stay(
    saved: tuple[int, ...], selected: int | None, keep: int, gone: list[int], tmp_path: Path
) -> None:
    record = Record(tmp_path, "Bear", 6, selected_epoch=selected, epochs=entries(*saved))
    assert retention.surplus(record, keep) == gone


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A version of four epochs, the second of which is selected; a file of a fifth is of no entry."""
    folder = tmp_path / "bear" / "v6"
    for epoch in range(1, 6):
        files.write_atomic(folder / f"Bear_v6-{epoch:06d}.safetensors", f"epoch {epoch}")
    files.link_or_copy(folder / "Bear_v6-000002.safetensors", folder / "Bear_v6.safetensors")
    record = Record(folder, "Bear", 6, status="complete", selected_epoch=2, epochs=entries(1, 2, 3, 4, of=4))
    record.write()
    return record


def names(record: Record) -> set[str]:
    return {path.name for path in record.folder.glob("*.safetensors")}


def test_epochs_go_and_the_record_says_so(record: Record) -> None:
    removed = retention.drop_epochs(record, [1, 3])
    assert [path.name[-18:-12] for path in removed] == ["000001", "000003", "000005"], "what no entry names goes too"
    assert names(record) == {"Bear_v6.safetensors", "Bear_v6-000002.safetensors", "Bear_v6-000004.safetensors"}
    saved = json.loads(paths.record(record.folder).read_text())["epochs"]
    assert [bool(entry["file"]) for entry in saved] == [False, True, False, True]
    assert (record.folder / "Bear_v6.safetensors").read_text() == "epoch 2"


@pytest.mark.parametrize("operations", range(4))
def test_killed_between_any_two_operations_no_record_names_a_file_that_is_gone(
    record: Record, operations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = operations
    unlink, write = Path.unlink, files.write_json

    def counted(action: Any) -> Any:
        def act(*arguments: Any, **options: Any) -> None:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt  # what a kill looks like from inside
            left -= 1
            action(*arguments, **options)

        return act

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", counted(unlink))
        patch.setattr(files, "write_json", counted(write))
        with pytest.raises(KeyboardInterrupt):
            retention.drop_epochs(record, [1, 3])
    again = Record.read(record.folder)
    assert {entry.file for entry in again.saved} <= names(again)
    assert {"Bear_v6.safetensors", "Bear_v6-000002.safetensors", "Bear_v6-000004.safetensors"} <= names(again)
    retention.drop_epochs(again, retention.surplus(again, 1))
    assert len(names(again)) == 3, "the next look removes what was left"


def test_removing_an_epoch_leaves_the_selected_file_that_was_linked_to_it(record: Record) -> None:
    folder = record.folder
    assert (folder / "Bear_v6.safetensors").stat().st_nlink == 2, "one file under two names: no room twice"
    retention.drop_epochs(record, [1, 2, 3, 4])
    assert names(record) == {"Bear_v6.safetensors"}
    assert (folder / "Bear_v6.safetensors").read_text() == "epoch 2"


def study(
    root: Path, name: str = "bear", *, metric: str = "val/loss_ratio", **values: tuple[str, float | None]
) -> dict[str, Path]:
    """Trials of a study, each with a state: version -> status and objective."""
    found = {}
    for version, (status, value) in values.items():
        folder = found[version] = root / "bear" / version
        files.write_atomic(folder / "state" / "step-00000009.safetensors", "state")
        record = {"name": "Bear", "version": int(version[1:]), "status": status, "trial": {"study": name, "number": 0}}
        objective = {"name": metric, "value": value, "direction": METRICS[metric].direction}
        files.write_json(folder / "record.json", record | {"objective": objective})
    return found


def test_of_a_study_the_best_keeps_its_state_and_so_does_what_has_not_ended(tmp_path: Path) -> None:
    versions = study(
        tmp_path, v1=("complete", 0.5), v2=("complete", 0.4), v3=("pruned", 0.1), v4=("interrupted", 0.2),
        v5=("failed", None), v6=("running", None), v7=("complete", None), v8=("complete", float("inf")),
    )  # fmt: skip
    other = study(tmp_path, "another", v9=("complete", 0.9))
    with lock.take(versions["v1"]):
        retention.drop_beaten_states(tmp_path, "Bear", "bear")
        assert paths.states(versions["v1"]), "somebody has it in hand"
    retention.drop_beaten_states(tmp_path, "Bear", "bear")
    kept = {name for name, folder in (versions | other).items() if paths.states(folder)}
    assert kept == {"v2", "v4", "v5", "v6", "v9"}


def test_the_best_is_the_highest_where_more_is_better(tmp_path: Path) -> None:
    versions = study(tmp_path, metric="image/fidelity", v1=("complete", 0.5), v2=("complete", 0.7))
    retention.drop_beaten_states(tmp_path, "Bear", "bear")
    assert [name for name, folder in versions.items() if paths.states(folder)] == ["v2"]
