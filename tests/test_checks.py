"""Each limit, and each pair of values that must suit each other: one clear line, and none where all is well."""

import dataclasses
from pathlib import Path

import pytest

from lorasweep.checks import check
from lorasweep.checks.wording import nearest
from lorasweep.config import Config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A sound config on the toy base at the toy's size, that writes nowhere else."""
    config = Config(name="Sage", output_root=str(tmp_path / "outputs"))
    config.base_model.resolution = 64
    data = config.dataset
    data.theme, data.trigger, data.resolution = "food", "sage_character", 64
    data.bucket_min, data.bucket_max, data.bucket_step = 32, 128, 4
    config.sampling.prompts = ["{trigger}, standing"]
    return config


def put(config: Config, settings: dict[str, object]) -> Config:
    """Set dotted keys."""
    for key, value in settings.items():
        *groups, last = key.split(".")
        target = config
        for group in groups:
            target = getattr(target, group)
        assert hasattr(target, last), key
        setattr(target, last, value)
    return config


def test_a_sound_config_has_no_problems(config):
    assert check(config) == []


ALONE = [
    ("network.rank", 0, "network.rank=0: expected at least 1"),
    ("network.alpha", 0.5, "network.alpha=0.5: expected at least 1"),
    ("network.dropout", 1.0, "network.dropout=1: expected at least 0 and less than 1"),
    ("optimizer.lr", 0.0, "optimizer.lr=0: expected more than 0"),
    ("optimizer.lr", -1e-4, "optimizer.lr=-0.0001: expected more than 0"),
    ("optimizer.lr", float("nan"), "optimizer.lr=nan: expected more than 0"),
    ("optimizer.weight_decay", float("inf"), "optimizer.weight_decay=inf: expected at least 0"),
    ("optimizer.name", "adamw8bits", "expected one of adamw, adamw8bit, adafactor; did you mean adamw8bit?"),
    ("optimizer.beta2", 1.0, "optimizer.beta2=1: expected at least 0 and less than 1"),
    ("training.batch_size", 0, "training.batch_size=0: expected at least 1"),
    ("training.mixed_precision", "fp32", "expected one of auto, no, fp16, bf16"),
    ("dataset.max_tokens", 77, "dataset.max_tokens=77: expected one of 75, 150, 225"),
    ("dataset.caption_dropout", 1.5, "dataset.caption_dropout=1.5: expected at least 0 and at most 1"),
    ("dataset.theme", "foods", "did you mean food?"),
    ("sampling.seeds", [0, -1], "sampling.seeds=[0,-1]: expected at least 0"),
    ("tracker.wandb.mode", "on", "tracker.wandb.mode=on: expected one of auto, online, offline, disabled"),
]


@pytest.mark.parametrize(("key", "value", "expected"), ALONE, ids=[f"{k}={v}" for k, v, _ in ALONE])
def test_a_value_outside_its_limits(config, key, value, expected):
    problems = check(put(config, {key: value}))
    assert len(problems) == 1 and expected in problems[0]


TOGETHER = [
    ({"name": "a/b"}, "name=a/b: expected letters"),
    ({"name": "..."}, "name=...: expected letters"),
    ({"dataset.resolution": 72}, "dataset.resolution=72: expected a multiple of 64 with buckets, such as 64 or 128"),
    ({"dataset.resolution": 60, "dataset.buckets": False}, "dataset.resolution=60: expected a multiple of 8"),
    ({"dataset.bucket_step": 6}, "dataset.bucket_step=6: expected a multiple of 4"),
    ({"dataset.bucket_min": 96}, "dataset.bucket_min=96: expected at most dataset.resolution=64"),
    ({"dataset.bucket_max": 32}, "dataset.bucket_max=32: expected at least dataset.resolution=64"),
    ({"dataset.bucket_min": 4, "dataset.bucket_step": 8}, "dataset.bucket_min=4: expected at least"),
    ({"dataset.path": "/no/such/images"}, "dataset.path=/no/such/images: there is no such folder; check the path"),
    ({"dataset.path": "images"}, "dataset.path=images: there is no such folder in "),
    ({"dataset.validation_path": "/no/such"}, "dataset.validation_path=/no/such: there is no such folder"),
    ({"dataset.regularisation_path": "/no/such"}, "dataset.regularisation_path=/no/such: there is no such folder"),
    ({"dataset.theme": None}, "dataset.path is not set: give the folder"),
    ({"dataset.regularisation_repeats": 2}, "changes nothing without dataset.regularisation_path"),
    ({"loss.prior_loss_weight": 0.5}, "changes nothing without dataset.regularisation_path"),
    ({"dataset.keep_tokens": 1}, "dataset.keep_tokens=1 changes nothing without dataset.shuffle_tags=true"),
    ({"dataset.background": "see-through"}, "dataset.background=see-through: expected a colour"),
    ({"dataset.caption_extension": "txt"}, "dataset.caption_extension=txt: expected a dot"),
    ({"dataset.trigger": ""}, "dataset.trigger is not set, but sampling.prompts call {trigger}"),
    ({"sampling.prompts": []}, "sampling.prompts=[]: expected at least one"),
    ({"sampling.seeds": []}, "sampling.seeds=[]: expected at least one"),
    (
        {f"network.{part}": False for part in ("attention", "feed_forward", "projections", "convolutions")},
        "leave nothing of the UNet to train",
    ),
    ({"optimizer.beta1": None}, "optimizer.beta1=null: adamw needs a number, such as 0.9"),
    ({"scheduler.warmup_steps": 5, "scheduler.warmup_ratio": 0.1}, "set one of the two to 0"),
    ({"scheduler.warmup_steps": 10, "training.max_steps": 10}, "expected less than training.max_steps=10"),
    ({"scheduler.cycles": 3}, "scheduler.cycles=3 changes nothing without scheduler=cosine_with_restarts"),
    ({"loss.huber_c": 0.2}, "loss.huber_c=0.2 changes nothing while loss.type is l2"),
    ({"loss.type": "huber", "loss.huber_scale": 2.0}, "loss.huber_scale=2 changes nothing with loss.huber_sch"),
    ({"evaluation.bins": 9}, "evaluation.bins=9: expected at most evaluation.timesteps=8"),
    ({"objective": "val/los"}, "did you mean val/loss?"),
    ({"evaluation.select_by": "fid"}, "evaluation.select_by=fid: expected one of val/loss"),
    ({"evaluation.select_by": "lat"}, "expected one of val/loss, val/loss_ratio, image/clip_image, image/clip_text, "),
    ({"objective": "last"}, "objective=last: expected one of val/loss"),
    ({"dataset.folds": 4}, "dataset.folds=4: which one is held out? Give dataset.fold=1 to 4 too"),
    ({"dataset.fold": 2}, "dataset.fold=2: of how many? Give dataset.folds=K too"),
    ({"dataset.folds": 4, "dataset.fold": 5}, "dataset.fold=5: expected 1 to dataset.folds=4"),
    ({"dataset.folds": 11, "dataset.fold": 1}, "dataset.folds=11: expected at least 2 and at most 10"),
    ({"dataset.folds": 4, "dataset.fold": 0}, "dataset.fold=0: expected at least 1"),
    (
        {"dataset.folds": 4, "dataset.fold": 1, "dataset.holdout": 0.3},
        "dataset.holdout=0.3 changes nothing while dataset.folds is set",
    ),
    (
        {"dataset.folds": 4, "dataset.fold": 1, "dataset.validation_path": "."},
        "dataset.folds=4 and dataset.validation_path=. both say what is held out",
    ),
    ({"evaluation.heldout_loss": False}, "would never be measured: set evaluation.heldout_loss=true, or choose"),
    (
        {"objective": "image/clip_text", "evaluation.clip": False, "sampling.every_epochs": 0},
        "set evaluation.clip=true and sampling.every_epochs=1",
    ),
    ({"training.mixed_precision": "fp16", "training.device": "cpu"}, "a CPU trains in bf16 or no"),
]


@pytest.mark.parametrize(("settings", "expected"), TOGETHER, ids=[" ".join(map(str, s)) for s, _ in TOGETHER])
def test_values_that_do_not_suit_each_other(config, settings, expected):
    problems = check(put(config, settings))
    assert len(problems) == 1 and expected in problems[0], problems


def test_adafactor_has_no_beta2(config):
    [problem] = check(put(config, {"optimizer.name": "adafactor"}))
    assert problem.startswith("optimizer.beta2=0.999: adafactor has none; choose it whole with optimizer=adafactor")
    assert check(put(config, {"optimizer.beta2": None})) == []


def test_all_problems_come_at_once_and_none_twice(config):
    settings = {"network.rank": 0, "optimizer.lr": 0.0, "dataset.bucket_min": 0, "objective": "loss"}
    problems = check(put(config, settings))
    assert [problem.split("=")[0] for problem in problems] == [
        "dataset.bucket_min",
        "network.rank",
        "optimizer.lr",
        "objective",
    ]


def test_own_images_without_holdout_cannot_measure_a_held_out_loss(config, tmp_path):
    settings = {"dataset.path": str(tmp_path), "dataset.holdout": 0.0}
    assert "set dataset.holdout=0.1" in check(put(config, settings))[0]
    assert check(put(config, {"objective": "train/loss"})) == []


def test_a_fold_can_measure_a_held_out_loss(config, tmp_path):
    settings = {"dataset.path": str(tmp_path), "dataset.holdout": 0.0, "dataset.folds": 5, "dataset.fold": 5}
    assert check(put(config, settings)) == []
    assert check(put(config, {"evaluation.select_by": "last"})) == []


def test_holdout_beside_a_validation_folder_is_refused(config, tmp_path):
    settings = {"dataset.path": str(tmp_path), "dataset.validation_path": str(tmp_path)}
    assert check(put(config, settings)) == []
    assert "dataset.holdout=0.3 changes nothing" in check(put(config, {"dataset.holdout": 0.3}))[0]


def test_a_file_where_a_folder_should_be(config, tmp_path):
    file = tmp_path / "images.zip"
    file.touch()
    problems = check(put(config, {"dataset.path": str(file), "output_root": str(file / "outputs")}))
    assert f"output_root={file}/outputs cannot be written" in problems[0]
    assert f"dataset.path={file}: this is a file" in problems[1]


def test_looking_whether_a_folder_can_be_written_leaves_nothing(config, tmp_path):
    assert check(put(config, {"dataset.cache": str(tmp_path / "a" / "b")})) == []
    assert list(tmp_path.iterdir()) == []


def test_sdxl_at_the_toys_size_is_refused(config):
    problems = check(put(config, {"base_model.path": "stabilityai/stable-diffusion-xl-base-1.0"}))
    assert "add base_model=sdxl" in problems[0]


def test_checking_changes_nothing(config):
    before = dataclasses.asdict(config)
    check(config)
    assert dataclasses.asdict(config) == before


def test_nearest():
    assert nearest("fuzzybaer", ["food", "fuzzybear", "robots"]) == "fuzzybear"
    assert nearest("Food", ["food", "fuzzybear"]) == "food"
    assert nearest("zzz", ["food", "fuzzybear"]) is None
