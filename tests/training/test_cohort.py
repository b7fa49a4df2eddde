"""The loop: whole runs at toy size, resumed runs, runs side by side, and how runs end."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lorasweep.checks import check
from lorasweep.errors import UserError
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.tracking.group import Trackers
from lorasweep.training import loop
from lorasweep.training.job import Job
from lorasweep.training.member import Member
from lorasweep.training.objectives.denoising import Denoising
from lorasweep.training.start import setup
from lorasweep.training.version import Version

from ..export.reading import state_in
from ..training_on import run, run_cohort


class Killed(BaseException):
    """What a kill looks like from inside: nothing is tidied up but the adapter and the lock."""


def folder_of(config: Config, number: int = 6) -> Path:
    return Path(config.output_root) / "fuzzybear" / f"v{number}"


def record_of(config: Config, number: int = 6) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder_of(config, number) / "record.json").read_text())
    return record


def weights_of(config: Config, epoch: int, number: int = 6) -> dict[str, torch.Tensor]:
    return load_file(folder_of(config, number) / f"FuzzyBear_v{number}-{epoch:06d}.safetensors")


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_whole_run_leaves_what_the_contract_says(short_config: Config, toy_base: SDXL, curves: None) -> None:
    value = run(short_config, overrides=["network.rank=4"], base=toy_base)
    folder, record = folder_of(short_config), record_of(short_config)
    assert record["status"] == "complete" and record["version"] == 6 and record["name"] == "FuzzyBear"
    assert [(entry["epoch"], entry["step"]) for entry in record["epochs"]] == [(1, 4), (2, 8), (3, 12)]
    assert all((folder / entry["file"]).exists() for entry in record["epochs"])
    ratios = {entry["epoch"]: entry["metrics"]["val/loss_ratio"] for entry in record["epochs"]}
    assert record["selected_epoch"] == min(ratios, key=lambda epoch: ratios[epoch])
    assert value == record["objective"]["value"] == min(ratios.values())
    assert same(load_file(folder / "FuzzyBear_v6.safetensors"), weights_of(short_config, record["selected_epoch"]))
    assert record["overrides"] == ["network.rank=4"]
    assert record["dataset"]["images"] == 8
    assert set(record["seconds"]) == {"total", "load", "cache", "train", "sample", "evaluate"}
    assert {path.name for path in (folder / ".hydra").iterdir()} == {"config.yaml", "overrides.yaml", "choices.yaml"}
    assert (folder / "metrics.jsonl").exists() and (folder / "train.log").read_text()
    assert (folder / "curves.png").stat().st_size > 5000
    assert len(list((folder / "state").glob("*.safetensors"))) == 1, "old states are pruned"


def test_the_adapter_learns_and_leaves_the_base_as_it_was(short_config: Config, toy_base: SDXL) -> None:
    before = {name: value.clone() for name, value in toy_base.modules["unet"].state_dict().items()}
    short_config.training.max_steps = 40
    run(short_config, base=toy_base)
    assert same(before, dict(toy_base.modules["unet"].state_dict()))
    assert record_of(short_config)["objective"]["value"] < 0.99  # 0.974 was measured; untrained is 1


def test_a_resumed_run_is_bit_equal_to_a_straight_one(
    short_config: Config, toy_base: SDXL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_config.tracker.every_steps = 3
    run(short_config, base=toy_base)
    straight = [weights_of(short_config, epoch) for epoch in (1, 2, 3)]
    rows = (folder_of(short_config) / "metrics.jsonl").read_text()

    broken = copy.deepcopy(short_config)
    broken.output_root = str(tmp_path / "broken")
    broken.training.state_every_steps, broken.tracker.every_steps = 3, 1
    step = loop.advance

    def stumbling(self: Member) -> None:
        if self.version.step == stops.pop(0) if stops and self.version.step == stops[0] else False:
            raise Killed
        step(self)

    stops = [5, 7, 10]
    monkeypatch.setattr(loop, "advance", stumbling)
    with pytest.raises(Killed):
        run(broken, base=toy_base)
    for _ in range(2):
        with pytest.raises(Killed):
            run(replace(broken, resume="latest"), base=toy_base)
    run(replace(broken, resume="v6"), base=toy_base)
    assert all(same(straight[epoch - 1], weights_of(broken, epoch)) for epoch in (1, 2, 3))
    again = (folder_of(broken) / "metrics.jsonl").read_text()
    epochs = [json.loads(line) for line in rows.splitlines() if "val/loss_ratio" in line]
    assert epochs == [json.loads(line) for line in again.splitlines() if "val/loss_ratio" in line]
    # Nor do the metrics of an epoch depend on how often they are logged: here at every step, there at every third.
    assert [entry["metrics"] for entry in record_of(short_config)["epochs"]] == [
        entry["metrics"] for entry in record_of(broken)["epochs"]
    ]
    losses = [json.loads(line).get("train/loss") for line in again.splitlines()]
    steps = [loss for loss in losses if loss is not None]
    assert record_of(broken)["epochs"][1]["metrics"]["train/loss"] == pytest.approx(sum(steps[4:8]) / 4, rel=1e-12)


@pytest.mark.parametrize("name", ["adamw8bit", "adafactor", "prodigy", "adamw_schedule_free"])
def test_resume_is_exact_with_every_optimizer(name: str, short_config: Config, toy_base: SDXL, tmp_path: Path) -> None:
    set_optimizer(short_config, name)
    short_config.evaluation.heldout_loss = False
    short_config.network.dropout = 0.2
    run(short_config, base=toy_base)
    halved = copy.deepcopy(short_config)
    halved.output_root = str(tmp_path / "halved")

    def stop_after_first(step: int, metrics: dict[str, float]) -> str | None:
        return "enough"

    halved.evaluation.heldout_loss = True  # the report comes after a measurement
    run_cohort([Job(halved, report=stop_after_first)], base=toy_base)
    assert record_of(halved)["status"] == "pruned" and record_of(halved)["reason"] == "enough"
    assert [entry["epoch"] for entry in record_of(halved)["epochs"]] == [1]
    # What has ended stays as it is: a new version goes on from it.
    run(replace(halved, resume="v6"), base=toy_base)
    assert record_of(halved)["status"] == "pruned" and record_of(halved, 7)["status"] == "complete"
    assert same(weights_of(short_config, 3), weights_of(halved, 3, 7))


def set_optimizer(config: Config, name: str) -> None:
    config.optimizer.name = name
    if name == "adafactor":
        config.optimizer.beta1 = config.optimizer.beta2 = config.optimizer.eps = None
    if name == "prodigy":
        config.optimizer.lr = config.optimizer.text_encoder_lr = 1.0
    if name == "adamw_schedule_free":
        config.scheduler.name = "constant"
    assert check(config) == []


def test_prodigy_logs_the_rate_that_it_found(short_config: Config, toy_base: SDXL) -> None:
    set_optimizer(short_config, "prodigy")
    short_config.scheduler.name = "constant"
    short_config.training.epochs, short_config.evaluation.heldout_loss, short_config.tracker.every_steps = 2, False, 1
    run(short_config, base=toy_base)
    rows = [json.loads(line) for line in (folder_of(short_config) / "metrics.jsonl").read_text().splitlines()]
    rates = [(row["train/lr_unet"], row["train/lr_text_encoder"]) for row in rows if "train/lr_unet" in row]
    assert len(rates) == 8 and all(unet == text for unet, text in rates)
    assert rates[0][0] == short_config.optimizer.d0, "where it starts, though optimizer.lr is 1"
    assert rates == sorted(rates) and rates[-1][0] > 2 * rates[0][0]


def test_schedule_free_saves_its_average(short_config: Config, toy_base: SDXL) -> None:
    set_optimizer(short_config, "adamw_schedule_free")
    short_config.training.epochs, short_config.evaluation.heldout_loss = 1, False
    run(short_config, base=toy_base)
    saved = state_in(weights_of(short_config, 1), short_config.network, toy_base.naming)
    (path,) = (folder_of(short_config) / "state").glob("*.safetensors")
    state = load_file(path)
    for name, value in saved.items():
        y = state[f"adapter.{name}"]  # what trains: (1 - beta1) z + beta1 x
        z = state.get(f"optimizer.{name}/z", y)  # the encoders' last layers get no gradient: SDXL does not use them
        torch.testing.assert_close(value, (y - 0.1 * z) / 0.9, rtol=1e-3, atol=1e-6)
    ups = [name for name in saved if name.endswith("conv_in.lora_B") or name.endswith("proj_in.lora_B")]
    assert ups and all((saved[name] - state[f"adapter.{name}"]).abs().max() > 1e-5 for name in ups)


def test_versions_of_a_cohort_are_what_they_are_alone(short_config: Config, toy_base: SDXL, tmp_path: Path) -> None:
    other = copy.deepcopy(short_config)
    other.network.rank, other.seed, other.training.epochs = 8, 7, 2
    run(short_config, base=toy_base)
    run(other, base=toy_base)
    together = [copy.deepcopy(short_config), copy.deepcopy(other)]
    for config in together:
        config.output_root = str(tmp_path / "together")
    outcomes = run_cohort([Job(config) for config in together], base=toy_base)
    assert [outcome.status for outcome in outcomes] == ["complete", "complete"]
    assert same(weights_of(short_config, 3, 6), weights_of(together[0], 3, 6))
    assert same(weights_of(other, 2, 7), weights_of(together[1], 2, 7))


def test_a_non_finite_loss_stops_this_version_only_and_saves_nothing_of_it(
    short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = Denoising.loss

    def exploding(self: Denoising, predicted: Any, noisy: Any) -> torch.Tensor:
        values = loss(self, predicted, noisy)
        return values * float("nan") if self.config is short_config and noisy.step == 5 else values

    monkeypatch.setattr(Denoising, "loss", exploding)
    outcomes = run_cohort([Job(short_config), Job(copy.deepcopy(short_config))], base=toy_base)
    assert [outcome.status for outcome in outcomes] == ["failed", "complete"]
    message = str(outcomes[0].error)
    assert "step 6" in message and "optimizer.lr" in message and "FuzzyBear_v6-000001.safetensors" in message
    record = record_of(short_config)
    assert record["status"] == "failed" and "step 6" in record["reason"]
    for path in folder_of(short_config).rglob("*.safetensors"):
        assert all(torch.isfinite(tensor.float()).all() for tensor in load_file(path).values()), path


def test_accumulation_equals_the_large_batch(short_config: Config, toy_base: SDXL, tmp_path: Path) -> None:
    # 8 images in batches of 3 leave a short last one; one step over all of them is one batch of 8.
    short_config.optimizer.text_encoder_lr = 0
    short_config.training.epochs = 1
    large, parts = copy.deepcopy(short_config), copy.deepcopy(short_config)
    large.training.batch_size = 8
    parts.training.batch_size, parts.training.gradient_accumulation = 3, 3
    parts.output_root = str(tmp_path / "parts")
    run(large, base=toy_base)
    run(parts, base=toy_base)
    assert record_of(parts)["epochs"][-1]["step"] == record_of(large)["epochs"][-1]["step"] == 1
    losses = [record_of(config)["epochs"][-1]["metrics"]["train/loss"] for config in (large, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_gradient_checkpointing_computes_again_and_changes_nothing(
    short_config: Config, toy_base: SDXL, tmp_path: Path
) -> None:
    short_config.training.epochs, short_config.evaluation.heldout_loss = 1, False
    calls: list[int] = []
    block = toy_base.modules["unet"].get_submodule("down_blocks.1.resnets.0")
    hook = block.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        run(short_config, base=toy_base)
        plain = len(calls)
        spared = copy.deepcopy(short_config)
        spared.training.gradient_checkpointing, spared.output_root = True, str(tmp_path / "spared")
        run(spared, base=toy_base)
        assert len(calls) - plain == 2 * plain
        again = copy.deepcopy(short_config)
        again.output_root = str(tmp_path / "again")
        run(again, base=toy_base)
        assert len(calls) == 4 * plain, "the base goes back to plain forwards"
    finally:
        hook.remove()
    assert same(weights_of(short_config, 1), weights_of(spared, 1))


def test_a_pruned_version_stops_at_once_with_its_best_weights(
    short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, dict[str, float]]] = []
    logged: list[tuple[Any, ...]] = []
    monkeypatch.setattr(Trackers, "weights", lambda self, *values: logged.append(values))
    monkeypatch.setattr(Trackers, "finish", lambda self, *values: logged.append(values))

    def prune_second(step: int, metrics: dict[str, float]) -> str | None:
        seen.append((step, metrics))
        return "worse than half of the others" if len(seen) == 2 else None

    # No epoch before the last would have a file of its own.
    short_config.training.save_every_epochs = 3
    trial = {"study": "rates", "number": 3, "params": {"optimizer.lr": 1e-3}}
    (outcome,) = run_cohort([Job(short_config, trial=trial, report=prune_second)], base=toy_base)
    folder, record = folder_of(short_config), record_of(short_config)
    assert [step for step, _ in seen] == [4, 8]
    assert record["status"] == "pruned" and record["reason"] == "worse than half of the others"
    assert record["trial"] == {"study": "rates", "number": 3}
    assert [(entry["epoch"], entry["file"]) for entry in record["epochs"]] == [
        (1, None),
        (2, "FuzzyBear_v6-000002.safetensors"),
    ]
    assert record["selected_epoch"] == 2
    assert same(load_file(folder / "FuzzyBear_v6.safetensors"), weights_of(short_config, 2))
    assert logged[0][0] == folder / "FuzzyBear_v6.safetensors"
    assert logged[0][1] == ["v6", "latest"], "only the winner of a study is the best"
    assert logged[1] == ("pruned", seen[1][1])
    assert (outcome.status, outcome.number, outcome.epoch, outcome.steps) == ("pruned", 6, 2, 8)
    assert outcome.reason == "worse than half of the others" and outcome.error is None
    assert outcome.metrics == seen[1][1] and outcome.value == outcome.metrics["val/loss_ratio"]


def test_the_outcome_of_a_failed_version_says_how_far_it_came(
    short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Version) -> None:
        raise RuntimeError("the dog ate it")

    monkeypatch.setattr(loop, "train_step", broken)
    (outcome,) = run_cohort([Job(short_config)], base=toy_base)
    assert (outcome.status, outcome.reason, outcome.steps) == ("failed", "the dog ate it", 0)
    assert outcome.metrics == {} and outcome.epoch is None and outcome.value is None


@pytest.mark.parametrize("fold", [1, 2])
def test_a_fold_of_a_theme_holds_out_part_of_its_images(fold: int, short_config: Config, toy_base: SDXL) -> None:
    short_config.dataset.folds, short_config.dataset.fold, short_config.training.epochs = 2, fold, 1
    value = run(short_config, base=toy_base)
    record = record_of(short_config)
    assert value is not None and record["dataset"]["images"] == 8 and record["dataset"]["heldout"] == 4
    assert record["epochs"][-1]["step"] == 2, "4 images in batches of 2"


def test_a_refit_trains_on_all_images_and_keeps_its_last_epoch(
    short_config: Config, toy_base: SDXL, tmp_path: Path
) -> None:
    theme = setup.with_images(short_config).dataset.path
    short_config.dataset.path, short_config.dataset.theme, short_config.dataset.holdout = theme, None, 0.0
    short_config.evaluation.select_by, short_config.objective = "last", "train/loss"
    assert check(short_config) == []
    value = run(short_config, base=toy_base)
    record = record_of(short_config)
    assert record["dataset"]["heldout"] == 0 and record["epochs"][0]["step"] == 4, "8 images in batches of 2"
    assert record["selected_epoch"] == 3 and record["selected_because"].startswith("the last epoch")
    assert value == record["epochs"][-1]["metrics"]["train/loss"]


def test_epochs_shorter_than_a_step_share_its_end(short_config: Config, toy_base: SDXL) -> None:
    # 8 images / batch 2 = 4 batches an epoch; 8 batches a step: epochs 1 and 2 end at step 1, 3 and 4 at step 2
    short_config.training.gradient_accumulation, short_config.training.epochs = 8, 4
    short_config.training.save_every_epochs = 3
    run(short_config, base=toy_base)
    entries = record_of(short_config)["epochs"]
    assert [(entry["epoch"], entry["step"]) for entry in entries] == [(2, 1), (4, 2)]
    assert [bool(entry["file"]) for entry in entries] == [False, True], "epoch 3 is in the second"
    assert all(entry["metrics"]["train/loss"] > 0 for entry in entries)


def test_measuring_and_sampling_have_rhythms_of_their_own(short_config: Config, toy_base: SDXL) -> None:
    short_config.training.epochs, short_config.evaluation.every_epochs = 3, 2
    short_config.sampling.every_epochs, short_config.sampling.prompts = 1, ["humanoid"]
    short_config.sampling.steps = 1
    run(short_config, base=toy_base)
    measured = ["val/loss_ratio" in entry["metrics"] for entry in record_of(short_config)["epochs"]]
    assert measured == [False, True, True], "every second epoch, and the last"
    assert len(list((folder_of(short_config) / "samples").glob("0*.png"))) == 4


def test_bf16_on_the_cpu_trains(short_config: Config) -> None:
    short_config.training.mixed_precision, short_config.training.epochs = "bf16", 1
    short_config.sampling.every_epochs, short_config.sampling.prompts = 1, ["humanoid"]
    short_config.sampling.steps = 2
    value = run(short_config)
    assert value is not None and 0 < value < 1.2
    assert (folder_of(short_config) / "samples" / "000001_00.png").exists()


def test_fp16_on_the_cpu_is_refused(short_config: Config) -> None:
    short_config.training.mixed_precision = "fp16"
    with pytest.raises(UserError, match="fp16 needs a CUDA GPU"):
        run(short_config)


def test_a_version_in_training_is_not_resumed_by_another_process(short_config: Config, toy_base: SDXL) -> None:
    import fcntl

    run(short_config, base=toy_base)
    with open(folder_of(short_config) / "state" / ".lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="is being trained by process"):
            run(replace(short_config, resume="latest"), base=toy_base)
