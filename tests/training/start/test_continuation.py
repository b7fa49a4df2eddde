"""Versions that begin where another one stopped, whatever stopped it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lorasweep.export.weights import read_weights
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.training import loop
from lorasweep.training.member import Member
from lorasweep.training.session import Session
from lorasweep.training.start import continuation

from ...training_on import run


class Killed(BaseException):
    """What a kill looks like from inside: nothing is tidied up but the adapter and the lock."""


@pytest.fixture
def config(short_config: Config, shared: Path) -> Config:
    """6 steps in 3 epochs, saved after steps 2, 3, 4 and 6."""
    config = short_config
    config.sampling.prompts, config.sampling.every_epochs, config.sampling.steps = ["humanoid"], 1, 1
    config.optimizer.text_encoder_lr = 0
    config.evaluation.timesteps, config.evaluation.bins, config.evaluation.max_images = 2, 1, 1
    config.training.batch_size, config.training.state_every_steps, config.tracker.every_steps = 4, 3, 2
    config.dataset.cache = str(shared / "cache")
    return config


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def straight(config: Config, toy_base: SDXL, shared: Path) -> Path:
    """Folder of a version that nothing disturbed, not even a state between two epochs; trained once for all tests."""
    training = replace(config.training, state_every_steps=0)
    config = replace(config, training=training, output_root=str(shared / "straight"))
    if not (folder_of(config, 6) / "record.json").exists():
        run(config, base=toy_base)
    return folder_of(config, 6)


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch, toy_base: SDXL) -> Callable[..., Path]:
    """Train a version until it is killed, at a step of its own or where `place` says; return its folder."""

    def train(config: Config, number: int, place: str = "advance", version: int = 6, **options: Any) -> Path:
        function = getattr(loop, place)

        def dying(trained: Member | Session) -> None:
            if place == "advance":
                function(trained)
            if trained.version.step == number:
                raise Killed
            if place == "end_epoch":
                function(trained)

        with monkeypatch.context() as patch:
            patch.setattr(loop, place, dying)
            with pytest.raises(Killed):
                run(config, base=toy_base, **options)
        return folder_of(config, version)

    return train


def folder_of(config: Config, number: int) -> Path:
    return Path(config.output_root) / "fuzzybear" / f"v{number}"


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in lines]


def assert_alike(straight: Path, continued: Path) -> None:
    """Hold two finished versions of one training against each other: all but names, times and numbers."""
    left, right = record_of(straight), record_of(continued)
    for key in ("status", "selected_epoch", "selected_because", "objective", "metrics"):
        assert left[key] == right[key], key
    assert [(e["epoch"], e["step"], e["metrics"]) for e in left["epochs"]] == [
        (e["epoch"], e["step"], e["metrics"]) for e in right["epochs"]
    ]
    assert rows(straight) == rows(continued)
    names = [{path.name.replace(folder.name, "v") for path in folder.iterdir()} for folder in (straight, continued)]
    assert names[0] == names[1]
    files = [None, *(entry["file"] for entry in right["epochs"])]
    for name in files:
        ours = continued / (name or f"FuzzyBear_{continued.name}.safetensors")
        theirs = straight / ours.name.replace(continued.name, straight.name)
        expected, found = load_file(theirs), load_file(ours)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), ours
        metadata = read_weights(ours)[1]
        assert metadata["ss_output_name"] == metadata["modelspec.title"] == f"FuzzyBear_{continued.name}"
        assert metadata["sshs_model_hash"] == read_weights(theirs)[1]["sshs_model_hash"]
    pictures = {path.name: path.read_bytes() for path in (straight / "samples").glob("0*.png")}
    assert len(pictures) == 4
    assert pictures == {path.name: path.read_bytes() for path in (continued / "samples").glob("0*.png")}
    assert (continued / "samples" / "grid.png").exists() and (continued / "curves.png").exists()


@pytest.mark.parametrize(
    ("number", "place", "step"),
    [
        (5, "advance", 4),  # between two saved states
        (4, "end_epoch", 3),  # before anything of the epoch's end is written
        (6, "advance", 6),  # all steps done, only the ending is missing
    ],
)
def test_a_continued_version_is_what_an_undisturbed_one_would_be(
    number: int, place: str, step: int, config: Config, toy_base: SDXL, straight: Path, killed_at: Callable[..., Path]
) -> None:
    old = killed_at(config, number, place)
    took = {"seconds": {**record_of(old)["seconds"], "train": 1000.0}}
    (old / "record.json").write_text(json.dumps(record_of(old) | took))
    before = content(old)
    value = run(config, base=toy_base, start_from=old, trial={"study": "s", "number": 4})
    new = folder_of(config, 7)
    record = record_of(new)
    assert record["continued_from"] == {"version": 6, "step": step}
    assert record["version"] == 7 and record["trial"] == {"study": "s", "number": 4}
    assert value == record["objective"]["value"] is not None
    assert_alike(straight, new)
    assert content(old) == before, "the earlier folder is only read"
    assert record["seconds"]["train"] >= 1000, "what the earlier version took counts too"


@pytest.mark.parametrize("count", [11, 22, 31])
def test_killed_while_it_writes_any_file_it_is_continued_all_the_same(
    count: int, config: Config, toy_base: SDXL, straight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, seen = os.replace, [0]

    def dying(source: Path, target: Path) -> None:
        seen[0] += 1
        if seen[0] == count:
            raise Killed
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("lorasweep.files.os.replace", dying)
        with pytest.raises(Killed):
            run(config, base=toy_base)
        seen[0] = count - 9  # and the one that continues it dies at its 9th file, while it copies
        with pytest.raises(Killed):
            run(config, base=toy_base, start_from=folder_of(config, 6))
    run(config, base=toy_base, start_from=folder_of(config, 7))
    assert_alike(straight, folder_of(config, 8))


def test_a_half_copied_version_leads_on_to_the_one_it_was_copied_from(
    config: Config, toy_base: SDXL, killed_at: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(config, 4)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(continuation, "truncate_after", lambda *_: (_ for _ in ()).throw(Killed))
        run(config, base=toy_base, start_from=folder_of(config, 6))
    assert not list((folder_of(config, 7) / "state").glob("step-*"))
    run(config, base=toy_base, start_from=folder_of(config, 7))
    assert record_of(folder_of(config, 8))["continued_from"] == {"version": 6, "step": 4}
    # Resumed by hand, the half-copied one is copied whole.
    run(replace(config, resume="v7"), base=toy_base)
    assert record_of(folder_of(config, 7))["continued_from"] == {"version": 6, "step": 4}
    assert_alike(folder_of(config, 8), folder_of(config, 7))


def test_trackers_of_the_new_folder_get_the_earlier_part_too(
    config: Config, toy_base: SDXL, killed_at: Callable[..., Path]
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config.tracker.tensorboard = True
    run(config, base=toy_base, start_from=killed_at(config, 5))
    events = EventAccumulator(str(folder_of(config, 7) / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("val/loss_ratio")] == [0, 2, 4, 6]
    assert [event.step for event in events.Images("samples/0 humanoid")] == [0, 2, 4, 6]


@pytest.mark.parametrize(
    "why", ["no state", "gone", "no record", "other config", "other images", "file", "weights", "damaged"]
)
def test_what_cannot_be_continued_starts_at_step_0_and_says_why(
    why: str, config: Config, killed_at: Callable[..., Path], said: list[str], tmp_path: Path
) -> None:
    expected = {
        "no state": "it has no saved state yet",
        "gone": "its folder is gone",
        "no record": "it was stopped before it began",
        "other config": "it is another run: network.alpha=3: it was begun with 2; another training.epochs",
        "other images": "it is another run: theme:fuzzybear: 1 image with another caption: ",
        "file": "FuzzyBear_v6-000001.safetensors is gone",
        "weights": "FuzzyBear_v6-000001.safetensors: it is damaged",
        "damaged": "is damaged",
    }[why]
    old = killed_at(config, 1 if why == "no state" else 3)
    if why == "gone":
        shutil.rmtree(old)
    elif why == "no record":
        (old / "record.json").unlink()
    elif why == "other config":
        config.network.alpha, config.training.epochs = 3, 2
        config.tracker.every_steps, config.dataset.cache = 7, str(tmp_path / "cache")  # these two may differ
    elif why == "other images":
        image = Path(config.output_root) / ".themes" / "fuzzybear-64" / "train"
        next(image.glob("*.txt")).write_text("another caption")
    elif why == "file":
        (old / "FuzzyBear_v6-000001.safetensors").unlink()
    elif why == "weights":
        os.truncate(old / "FuzzyBear_v6-000001.safetensors", 1000)
    elif why == "damaged":
        (state,) = (old / "state").glob("step-*")
        os.truncate(state, state.stat().st_size // 2)
    killed_at(config, 1, version=7, start_from=old)
    (line,) = [line for line in said if "cannot be continued" in line]
    assert line.startswith("v6 cannot be continued (") and expected in line and line.endswith("starting from step 0")
    new = record_of(folder_of(config, 7))
    assert new["status"] == "running" and new["continued_from"] is None
    assert [row["step"] for row in rows(folder_of(config, 7))] == [0]


def test_a_version_that_still_runs_is_left_alone(
    config: Config, killed_at: Callable[..., Path], said: list[str]
) -> None:
    import fcntl

    old = killed_at(config, 3)
    with open(old / "state" / ".lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        killed_at(config, 1, version=7, start_from=old)
    assert any(f"still being trained, by process {os.getpid()}" in line for line in said)
    assert record_of(folder_of(config, 7))["continued_from"] is None
