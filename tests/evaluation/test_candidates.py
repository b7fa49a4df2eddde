"""What a command line calls a version, an epoch or a file, and what it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorasweep.errors import UserError
from lorasweep.evaluation.candidates import Candidate, find_candidates
from lorasweep.runs import lock
from lorasweep.runs.record import Epoch, Record


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """FuzzyBear v6 of three epochs, the first's file removed, the second selected; Robots v6 and v7, which is young."""
    make(tmp_path, "FuzzyBear", 6, [1, 2, 3], selected=2)
    (tmp_path / "fuzzybear" / "v6" / "FuzzyBear_v6-000001.safetensors").unlink()
    make(tmp_path, "Robots", 6, [1], selected=1)
    make(tmp_path, "Robots", 7, [], selected=None)
    return tmp_path


def make(root: Path, name: str, number: int, epochs: list[int], selected: int | None) -> Record:
    folder = root / name.lower() / f"v{number}"
    folder.mkdir(parents=True)
    record = Record(folder=folder, name=name, version=number, status="complete", selected_epoch=selected)
    record.epochs = [Epoch(epoch, 10 * epoch, f"{name}_v{number}-{epoch:06d}.safetensors") for epoch in epochs]
    for entry in record.epochs:
        (folder / str(entry.file)).write_bytes(b"weights")
    if selected:
        (folder / f"{name}_v{number}.safetensors").write_bytes(b"weights")
    record.write()
    return record


def test_versions_epochs_and_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    bear = root / "fuzzybear" / "v6"
    (root / "other.safetensors").write_bytes(b"weights")
    asked = {
        "fuzzybear/v6": ("FuzzyBear v6", bear / "FuzzyBear_v6.safetensors", None),
        "FuzzyBear/v6@2:0.6": ("FuzzyBear v6", bear / "FuzzyBear_v6-000002.safetensors", 0.6),
        "fuzzybear/v6@last": ("FuzzyBear v6 epoch 3", bear / "FuzzyBear_v6-000003.safetensors", None),
        "other.safetensors:-1": ("other.safetensors", Path("other.safetensors"), -1),
        "fuzzybear/v6/FuzzyBear_v6-000003.safetensors": (
            "FuzzyBear v6 epoch 3",
            Path("fuzzybear/v6/FuzzyBear_v6-000003.safetensors"),
            None,
        ),
        "fuzzybear/v6/FuzzyBear_v6.safetensors": ("FuzzyBear v6", Path("fuzzybear/v6/FuzzyBear_v6.safetensors"), None),
    }
    found = find_candidates(list(asked), root)
    assert [(one.label, one.file, one.strength) for one in found] == list(asked.values())
    assert [one.epoch for one in found] == [2, 2, 3, None, 3, 2]
    make(root, "Robots", 8, [1], selected=None)
    assert find_candidates(["v8"], root)[0].label == "Robots v8 epoch 1", (
        "only one LoRA has a v8; nothing is selected yet"
    )


def test_all_that_cannot_be_looked_at_is_said_at_once(root: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_candidates(["v6", "v9", "robots/v7", "fuzzybear/v6@1", "none.safetensors", "fuzzybare"], root)
    said = caught.value.problems
    assert said[0] == "v6: several LoRAs have it; give one of fuzzybear/v6, robots/v6"
    assert said[1].startswith("v9: there is no such version") and "fuzzybear/v6, robots/v6, robots/v7" in said[1]
    assert said[2].startswith("robots/v7: it has no weights file")
    assert said[3] == "fuzzybear/v6@1: there is no weights file of that epoch; those of 2, 3 are kept"
    assert said[4] == "none.safetensors: there is no such file"
    assert said[5].startswith("fuzzybare: expected a version (v6, NAME/v6)") and "fuzzybear" in said[5]


def test_a_version_that_is_being_trained_is_refused(root: Path) -> None:
    folder = root / "fuzzybear" / "v6"
    record = Record.read(folder)
    record.status = "running"
    record.write()
    assert isinstance(find_candidates(["fuzzybear/v6"], root)[0], Candidate), "it was killed: nobody trains it"
    with lock.take(folder), pytest.raises(UserError, match="is being trained"):
        find_candidates(["fuzzybear/v6"], root)
