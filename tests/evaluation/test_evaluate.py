"""`lorasweep evaluate`, as its user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorasweep.commands.cli import main
from lorasweep.families.sdxl.model import SDXL
from lorasweep.runs import lock
from lorasweep.runs.record import Record
from lorasweep.text.lines import WARNING

from .conftest import MakeVersion


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict]:
    assert main(["evaluate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_result_joins_the_record_under_its_settings(
    make_version: MakeVersion, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, root = make_version(), ["--output-root", str(tmp_path)]
    (first,) = evaluated(capsys, "v6", *root)
    kept = Record.read(record.folder)
    assert kept.epochs == record.epochs and [e.finished for e in kept.evaluations] != [""]
    assert first["measured_now"] and first["distance"] > 0 and len(first["cells"]) == 4, "two prompts, two seeds"
    metrics, base = first["metrics"], first["base"]
    assert metrics["image/fidelity_delta"] == pytest.approx(metrics["image/fidelity"] - base["image/fidelity"])
    assert base["val/loss_ratio"] == 1 != metrics["val/loss_ratio"]
    assert all(Path(cell).exists() for cell in [*first["cells"], *first["base_cells"]])

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("drawn twice")

    monkeypatch.setattr(SDXL, "sample", refuse)
    (again,) = evaluated(capsys, "v6", *root)
    assert not again["measured_now"] and again["metrics"] == metrics
    assert len(Record.read(record.folder).evaluations) == 1
    monkeypatch.undo()


def test_strengths_seeds_epochs_and_files(
    make_version: MakeVersion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, root = make_version(), ["--output-root", str(tmp_path)]
    prompts, copy = tmp_path / "p.txt", tmp_path / "copy.safetensors"
    prompts.write_text("{trigger} --d 3 --w 32\n")
    copy.write_bytes((record.folder / "FuzzyBear_v6.safetensors").read_bytes())
    found = evaluated(
        capsys, "v6@1", str(copy), "--strengths", "0,1", "--prompts-file", str(prompts), "--features", "toy", *root
    )
    assert [(each["label"], each["strength"]) for each in found] == [
        ("FuzzyBear v6", 0.0),
        ("FuzzyBear v6", 1.0),
        ("copy.safetensors", 0.0),
        ("copy.safetensors", 1.0),
    ]
    assert [each["distance"] == 0 for each in found] == [True, False, True, False]
    assert found[0]["metrics"]["val/loss"] == found[0]["base"]["val/loss"], "at strength 0 it is the base"
    assert found[1]["cells"] == found[3]["cells"], "the same weights, whatever the file is called"
    assert found[1]["settings"]["requests"][0]["width"] == 32 and found[1]["settings"]["requests"][0]["seed"] == 3
    assert len(Record.read(record.folder).evaluations) == 2


def test_weights_that_change_nothing_are_noticed(
    make_version: MakeVersion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_version(scale=0.0)
    assert main(["evaluate", "v6", "--output-root", str(tmp_path)]) == 0
    assert f"{WARNING}FuzzyBear v6 CHANGED NOTHING" in capsys.readouterr().out


def test_what_cannot_be_measured_is_said(
    make_version: MakeVersion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, root = make_version(), ["--output-root", str(tmp_path)]
    refused = {
        ("network.rank=3", "sampling.step=3"): [
            "it was trained with what its record says",
            "did you mean sampling.steps",
        ],
        ("sampling.steps=0", "evaluation.timesteps=many"): ["expected at least 1", "expected a whole number"],
        ("sampling.prompts=[]",): ["sampling.prompts=[]: expected at least one"],
    }
    for changes, reasons in refused.items():
        assert main(["evaluate", "v6", *root, *(text for each in changes for text in ("--set", each))]) == 2
        said = capsys.readouterr().err
        assert all(reason in said for reason in reasons), said
    with lock.take(record.folder):
        record.status = "running"
        record.write()
        assert main(["evaluate", "v6", *root]) == 2
    assert "is being trained: wait for it" in capsys.readouterr().err
