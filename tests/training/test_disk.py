"""What versions leave on the disk: what is kept, what is foretold, what is refused."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest
import torch
from safetensors.torch import load_file

from lorasweep.commands.cli import main
from lorasweep.compose.overrides import parsed
from lorasweep.errors import UserError
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.tracking.group import Trackers
from lorasweep.training import disk, loop
from lorasweep.training.job import Job
from lorasweep.training.member import Member
from lorasweep.training.session import Session

from ..training_on import run, run_cohort


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class Killed(BaseException):
    """What a kill looks like from inside."""


def die(*arguments: object, **options: object) -> NoReturn:
    raise Killed


@pytest.fixture
def config(short_config: Config) -> Config:
    """6 steps in 3 epochs; only the selected epoch's file and the last one's stay."""
    config = short_config
    config.optimizer.text_encoder_lr = 0
    config.evaluation.timesteps, config.evaluation.bins, config.evaluation.max_images = 2, 1, 1
    config.training.batch_size, config.training.keep_epochs = 4, 1
    return config


def folder_of(config: Config, number: int = 6) -> Path:
    return Path(config.output_root) / "fuzzybear" / f"v{number}"


def record_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return found


def epochs_in(folder: Path) -> list[int]:
    return sorted(int(path.stem[-6:]) for path in folder.glob("*-*.safetensors"))


def states_in(folder: Path) -> list[Path]:
    return list((folder / "state").glob("step-*"))


@pytest.fixture
def worse_and_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first epoch is the best: the held-out loss that is measured rises with every epoch."""

    def measured(self: Any, epoch: int, weights: Path | None, **options: Any) -> dict[str, float]:
        return {"val/loss_ratio": 0.1 * epoch}

    monkeypatch.setattr("lorasweep.training.evaluator.Evaluator.epoch_metrics", measured)


def test_the_best_and_the_last_stay_and_the_selected_file_is_a_link(
    config: Config, toy_base: SDXL, worse_and_worse: None
) -> None:
    run(config, base=toy_base)
    folder = folder_of(config)
    assert epochs_in(folder) == [1, 3]
    assert [bool(entry["file"]) for entry in record_of(folder)["epochs"]] == [True, False, True]
    assert (folder / "FuzzyBear_v6.safetensors").samefile(folder / "FuzzyBear_v6-000001.safetensors")
    assert states_in(folder), "a plain run keeps the state"


@pytest.mark.parametrize("place", ["before the record", "before a file goes"])
def test_killed_while_files_go_it_goes_on_and_ends_as_if_nothing_had_been(
    place: str, config: Config, toy_base: SDXL, worse_and_worse: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(config, base=toy_base)
    straight = folder_of(config)
    config = replace(config, output_root=str(tmp_path / "broken"))
    thin_out = Session.thin_out

    def killed(self: Member) -> None:
        if self.version.epoch < 3:  # then the second epoch's file is to go
            thin_out(self)
            return
        with monkeypatch.context() as patch:
            if place == "before a file goes":
                patch.setattr(Path, "unlink", die)
                thin_out(self)
        die()

    with monkeypatch.context() as patch:
        patch.setattr(Session, "thin_out", killed)
        with pytest.raises(Killed):
            run(config, base=toy_base)
    broken = folder_of(config)
    assert epochs_in(broken) == [1, 2, 3]
    named = [entry["file"] for entry in record_of(broken)["epochs"] if entry["file"]]
    assert len(named) == (3 if place == "before the record" else 2)
    run(replace(config, resume="v6"), base=toy_base)
    assert epochs_in(broken) == epochs_in(straight) == [1, 3]
    for name in ("FuzzyBear_v6", "FuzzyBear_v6-000003"):
        left, right = (load_file(folder / f"{name}.safetensors") for folder in (straight, broken))
        assert all(torch.equal(left[key], right[key]) for key in left)
    assert record_of(broken)["selected_epoch"] == 1


def test_a_state_that_is_not_wanted_goes_when_the_version_has_ended_and_not_before(
    config: Config, toy_base: SDXL
) -> None:
    config.training.keep_state = False
    stopped = run_cohort([Job(config, report=lambda step, metrics: "enough")], base=toy_base)[0]
    assert stopped.status == "pruned" and not states_in(stopped.folder)
    step = loop.advance

    def failing(self: Member) -> None:
        if self.version.step == 4:
            raise RuntimeError("the sky fell")
        step(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "advance", failing)
        failed = run_cohort([Job(config)], base=toy_base)[0]
    assert failed.status == "failed" and states_in(failed.folder), "it can be gone on with"
    run(replace(config, resume=failed.folder.name), base=toy_base)
    assert record_of(failed.folder)["status"] == "complete" and not states_in(failed.folder)


def test_what_goes_goes_after_the_trackers_have_taken_the_selected_file(
    config: Config, toy_base: SDXL, worse_and_worse: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracker may upload until it is closed, or at a later sync: it is given the one file that no removal takes."""
    config.training.keep_state = False
    told: list[str] = []
    folder = folder_of(config)

    def weights(self: Trackers, path: Path, aliases: Any, metadata: Any) -> None:
        told.append(path.name)
        assert path.exists() and states_in(folder)

    def finish(self: Trackers, status: str, summary: Any) -> None:
        told.append(status)
        assert len(told) > 2 or states_in(folder), "an upload that fails can be made good by a resume"

    monkeypatch.setattr(Trackers, "weights", weights)
    monkeypatch.setattr(Trackers, "finish", finish)
    run(config, base=toy_base)
    assert told[:2] == ["FuzzyBear_v6.safetensors", "complete"] and not states_in(folder)
    assert main(["clean", "--yes", "--keep-epochs", "0", "--output-root", config.output_root]) == 0
    assert epochs_in(folder) == [1] and (folder / told[0]).exists()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": {"name": "adamw8bit"}},
        {"training": {"ema_decay": 0.9}},
        {"network": {"dora": True}},
        {"network": {"type": "full"}},
    ],
    ids=["lora", "8 bit", "average", "dora", "full"],
)
def test_what_is_foretold_is_what_is_written(changes: dict[str, Any], config: Config, toy_base: SDXL) -> None:
    for group, values in changes.items():
        setattr(config, group, replace(getattr(config, group), **values))
    config.network.rank, config.training.keep_epochs, config.training.epochs = 16, None, 1
    config.optimizer.lr = 1e-5
    before = {name: value.clone() for name, value in toy_base.unet.state_dict().items()}
    try:
        run(config, base=toy_base)
    finally:
        toy_base.unet.load_state_dict(before)
    folder, expected = folder_of(config), disk.of_trial(config)
    assert expected is not None
    assert expected.state == pytest.approx(states_in(folder)[0].stat().st_size, rel=0.06)
    (written,) = folder.glob("*-*.safetensors")
    assert expected.files == 1 and expected.weights == pytest.approx(written.stat().st_size, rel=0.06)
    there = sum(path.stat().st_size for path in (folder / "FuzzyBear_v6_diffusers").rglob("*.safetensors"))
    assert expected.folder == pytest.approx(there, rel=0.06)
    assert expected.explain() in (folder / "train.log").read_text(), "told before its first step, of what was loaded"


@pytest.mark.parametrize(
    ("epochs", "every", "keep", "files", "at_most"),
    [(10, 1, None, 10, 10), (10, 1, 1, 2, 3), (10, 1, 3, 4, 5), (10, 3, None, 4, 4), (10, 3, 1, 2, 3), (1, 1, 5, 1, 1)],
)
def test_how_many_files_there_are(
    epochs: int, every: int, keep: int | None, files: int, at_most: int, config: Config
) -> None:
    config.training.save_every_epochs, config.training.keep_epochs = every, keep
    found = disk.footprint(config, {"a": torch.zeros(1000)}, {}, epochs)
    assert found.files == files
    assert found.peak == at_most * found.weights + 2 * found.state


def test_what_cannot_fit_is_refused_with_ways_that_do(
    config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.training.keep_epochs, config.training.epochs = None, 20
    needed = disk.of_trial(config)
    assert needed is not None
    room = 5 * needed.weights + 2 * needed.state
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, room))
    with pytest.raises(UserError) as refused:
        run(config, base=toy_base, overrides=["lora=fuzzybear", "training.epochs=20"])
    assert "20 weights files of" in refused.value.problems[0] and "free" in refused.value.problems[0]
    command = shlex.split(refused.value.ways["keep the best and the last epoch"])
    assert command == ["python", "train.py", "lora=fuzzybear", "training.epochs=20", "training.keep_epochs=1"]
    (kept,) = [override.value() for text in command[2:] if (override := parsed(text)) and "keep" in text]
    config.training.keep_epochs = kept
    found = disk.of_trial(config)
    assert found is not None and "free" in disk.check_disk(found, config, folder_of(config), []), "the cure cures"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 1000))
    with pytest.raises(UserError) as refused:
        disk.check_disk(found, config, folder_of(config), ["training.epochs=20"])
    assert "keep the best and the last epoch" not in refused.value.ways, "it would not do"
    assert refused.value.ways["write elsewhere"] == "python train.py training.epochs=20 output_root=FOLDER"


def test_what_a_version_has_written_already_is_not_asked_for_again(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = disk.Footprint(weights=1000, files=3, state=5000, folder=0, saved=3)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "step-00000004.safetensors").write_bytes(b"s" * 5000)
    for epoch in (1, 2):
        (tmp_path / f"FuzzyBear_v6-{epoch:06d}.safetensors").write_bytes(b"w" * 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 6000))
    assert "6.0 kB free" in disk.check_disk(needed, config, tmp_path, [])
    with pytest.raises(UserError):
        disk.check_disk(needed, config, tmp_path / "new", [])


def test_a_base_that_is_not_here_yet_foretells_nothing(config: Config) -> None:
    config.base_model.path = "stabilityai/stable-diffusion-xl-base-1.0"
    assert disk.of_trial(config) is None


def test_free_space_is_that_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    assert disk.free_at(tmp_path / "not" / "there" / "yet") == shutil.disk_usage(tmp_path).free
