"""record.json has one reader and one writer, and both keep what they do not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorasweep import files
from lorasweep.runs import paths
from lorasweep.runs.record import BaseRecord, Epoch, MetricsRecord, Record, Seconds, TrialRecord

OLD: dict[str, Any] = {
    "version": 6,
    "name": "FuzzyBear",
    "status": "running",
    "overrides": None,
    "epochs": [{"step": 4, "epoch": 1, "file": None}],
    "base": {"path": "toy", "sha256": "b1"},
}
"""Of a program that knew fewer fields and wrote them in another order."""


def kept(folder: Path) -> Any:
    return json.loads(paths.record(folder).read_text())


def test_a_new_record_has_every_field_but_what_was_not_measured_yet(tmp_path: Path) -> None:
    record = Record(tmp_path, "FuzzyBear", 6, status="running", trial=TrialRecord("s", 3), seconds=Seconds(total=1.5))
    record.write()
    found = kept(tmp_path)
    assert list(found) == [
        "name", "version", "recipe", "status", "reason", "config", "overrides", "objective", "metrics",
        "selected_epoch", "selected_because", "epochs", "base", "dataset", "multirun", "trial", "started_from",
        "continued_from", "environment", "seconds", "evaluations", "triggers", "started", "finished",
    ]  # fmt: skip
    assert found["metrics"] == {} and found["trial"] == {"study": "s", "number": 3}
    record.epochs = [*record.epochs, Epoch(1, 4, "a.safetensors", {"val/loss": 0.5})]
    record.metrics.base = {"val/loss": 1.0}
    record.write()
    assert kept(tmp_path)["epochs"] == [{"epoch": 1, "step": 4, "file": "a.safetensors", "metrics": {"val/loss": 0.5}}]
    assert kept(tmp_path)["metrics"] == {"base": {"val/loss": 1.0}}
    assert Record.read(tmp_path) == record


def test_what_an_older_program_lacked_has_a_default_and_is_not_written_for_that(tmp_path: Path) -> None:
    files.write_json(paths.record(tmp_path), OLD)
    record = Record.read(tmp_path)
    assert (record.overrides, record.trial, record.base) == ([], None, BaseRecord(path="toy", sha256="b1"))
    assert record.epochs == [Epoch(1, 4)] and record.metrics == MetricsRecord()
    record.write()
    assert json.dumps(kept(tmp_path)) == json.dumps(OLD)
    record.status, record.selected_because = "complete", "lowest"
    record.write()
    assert kept(tmp_path) == OLD | {"status": "complete", "selected_because": "lowest"}


def test_what_a_newer_program_wrote_besides_is_kept_at_its_place(tmp_path: Path) -> None:
    newer = {"name": "FuzzyBear", "colour": "brown", "version": 6, "epochs": [{"epoch": 1, "mood": "good", "step": 4}]}
    files.write_json(paths.record(tmp_path), newer)
    record = Record.read(tmp_path)
    record.epochs[0].file = "a.safetensors"
    record.write()
    changed = newer | {"epochs": [{"epoch": 1, "mood": "good", "step": 4, "file": "a.safetensors"}]}
    assert json.dumps(kept(tmp_path)) == json.dumps(changed)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"name": "Bear"}', '{"name": 3, "version": 6}'])
def test_what_is_no_record_is_a_value_error(content: str, tmp_path: Path) -> None:
    paths.record(tmp_path).write_text(content)
    with pytest.raises(ValueError):
        Record.read(tmp_path)


def test_a_write_that_fails_leaves_the_record_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record(tmp_path, "FuzzyBear", 6, status="running")
    record.write()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    record.status = "complete"
    with pytest.raises(OSError):
        record.write()
    assert kept(tmp_path)["status"] == "running" and [path.name for path in tmp_path.iterdir()] == ["record.json"]
