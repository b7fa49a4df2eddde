"""Each limit, and each pair of values that must suit each other: one clear line, and none where all is well."""

import dataclasses
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from lorasweep.checks import check, optimizer
from lorasweep.families.sdxl.family import FAMILY
from lorasweep.families.shipped import BASE_PATH
from lorasweep.schema import Config, schema_keys
from lorasweep.text.names import nearest


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
    ("network.alpha", 0, "network.alpha=0: expected more than 0"),
    ("network.dropout", 1.0, "network.dropout=1: expected at least 0 and less than 1"),
    ("optimizer.lr", -1e-4, "optimizer.lr=-0.0001: expected at least 0"),
    ("optimizer.lr", float("nan"), "optimizer.lr=nan: expected at least 0"),
    ("optimizer.weight_decay", float("inf"), "optimizer.weight_decay=inf: expected at least 0"),
    ("optimizer.name", "adamw8bits", "lion, lion8bit, prodigy; did you mean adamw8bit?"),
    ("optimizer.lora_plus_ratio", 0.0, "optimizer.lora_plus_ratio=0: expected more than 0"),
    ("optimizer.d_coef", 0.0, "optimizer.d_coef=0: expected more than 0"),
    ("scheduler.min_lr_ratio", 1.0, "scheduler.min_lr_ratio=1: expected at least 0 and less than 1"),
    ("scheduler.power", 0.0, "scheduler.power=0: expected more than 0"),
    ("optimizer.beta2", 1.0, "optimizer.beta2=1: expected at least 0 and less than 1"),
    ("training.batch_size", 0, "training.batch_size=0: expected at least 1"),
    ("training.mixed_precision", "fp32", "expected one of auto, no, fp16, bf16"),
    ("dataset.max_tokens", 77, "dataset.max_tokens=77: expected one of 75, 150, 225"),
    ("dataset.max_tokens", 0, "dataset.max_tokens=0: expected at least 1"),
    ("loss.max_timestep", 1001, "loss.max_timestep=1001: expected at most the 1000 of SDXL"),
    ("loss.min_timestep", 1000, "loss.min_timestep=1000: expected less than loss.max_timestep=1000"),
    ("dataset.caption_dropout", 1.5, "dataset.caption_dropout=1.5: expected at least 0 and at most 1"),
    ("dataset.theme", "foods", "did you mean food?"),
    ("sampling.seeds", [0, -1], "sampling.seeds=[0,-1]: expected at least 0"),
    ("tracker.wandb.mode", "on", "tracker.wandb.mode=on: expected one of auto, online, offline, disabled"),
]


@pytest.mark.parametrize(("key", "value", "expected"), ALONE, ids=[f"{k}={v}" for k, v, _ in ALONE])
def test_a_value_outside_its_limits(config, key, value, expected):
    problems = check(put(config, {key: value}))
    assert len(problems) == 1 and expected in problems[0]


def test_lengths_of_captions_and_timesteps_are_the_familys(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    put(config, {"dataset.max_tokens": 512, "loss.max_timestep": 4000, "loss.min_timestep": 2000})
    assert {key for problem in check(config) for key in problem.keys} >= {"dataset.max_tokens", "loss.max_timestep"}
    monkeypatch.setattr(FAMILY, "caption_lengths", (256, 512))
    monkeypatch.setattr(FAMILY, "timesteps", 4000)
    assert check(config) == []
    monkeypatch.setattr(FAMILY, "caption_lengths", ())
    assert check(put(config, {"dataset.max_tokens": 19})) == []


NUMBERS = [key.name for key in schema_keys().values() if key.kind in (int, float)]


@pytest.mark.parametrize("key", NUMBERS)
def test_no_number_stops_the_checks_themselves(config, key):
    for value in (float("nan"), float("inf"), float("-inf"), 0, -1):
        problems = check(put(config, {"training.max_steps": 100, "scheduler.name": "inverse_sqrt", key: value}))
        assert value == value or any(problem.startswith(f"{key}=nan") for problem in problems)


TOGETHER = [
    (
        {"optimizer.lr": 0.0},
        "optimizer.lr=0 and optimizer.text_encoder_lr=0 and optimizer.text_encoder_2_lr=null freeze",
    ),
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
    (
        {"dataset.path": ".", "dataset.validation_path": "/no/such"},
        "dataset.validation_path=/no/such: there is no such folder",
    ),
    ({"dataset.regularisation_path": "/no/such"}, "dataset.regularisation_path=/no/such: there is no such folder"),
    ({"dataset.theme": None}, "dataset.path is not set: give the folder"),
    ({"dataset.regularisation_repeats": 2}, "changes nothing without dataset.regularisation_path"),
    ({"loss.prior_loss_weight": 0.5}, "changes nothing without dataset.regularisation_path"),
    ({"dataset.keep_tokens": 1}, "dataset.keep_tokens=1 changes nothing without dataset.shuffle_tags=true"),
    ({"dataset.path": ".", "dataset.background": "see-through"}, "dataset.background=see-through: expected a colour"),
    ({"dataset.path": ".", "dataset.caption_extension": "txt"}, "dataset.caption_extension=txt: expected a dot"),
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
    ({"scheduler.cycles": 3}, "scheduler.cycles=3 changes nothing with scheduler=cosine; it is for cosine_with_rest"),
    (
        {"scheduler.name": "linear", "scheduler.min_lr_ratio": 0.1},
        "min_lr_ratio=0.1 changes nothing with scheduler=linear; it is for cosine, polynomial, warmup_stable_decay",
    ),
    ({"scheduler.name": "inverse_sqrt"}, "scheduler.warmup_ratio=0: inverse_sqrt falls off on the scale of its warmup"),
    (
        {"scheduler.name": "warmup_stable_decay", "scheduler.warmup_ratio": 0.5, "scheduler.decay_ratio": 0.6},
        "scheduler.warmup_ratio=0.5 and scheduler.decay_ratio=0.6 are more than the whole run",
    ),
    ({"optimizer.d_coef": 2.0}, "optimizer.d_coef=2 changes nothing with optimizer=adamw; it is for prodigy"),
    (
        {"optimizer.name": "prodigy", "optimizer.text_encoder_lr": 5e-5},
        "optimizer.lr=0.0001: prodigy finds the learning rate itself and multiplies it by this; add optimizer.lr=1 "
        "optimizer.text_encoder_lr=1",
    ),
    (
        {"optimizer.name": "prodigy", "optimizer.lr": 1.0, "optimizer.text_encoder_lr": 5e-5},
        "optimizer.text_encoder_lr=5e-05: prodigy has one rate for all; set optimizer.lr's, 1, or 0 to freeze",
    ),
    (
        {"optimizer.name": "prodigy", "optimizer.lr": 1.0, "optimizer.lora_plus_ratio": 4.0},
        "optimizer.lora_plus_ratio=4: prodigy has one rate for all",
    ),
    ({"optimizer.name": "adamw_schedule_free"}, "scheduler.name=cosine: adamw_schedule_free averages instead"),
    (
        {"optimizer.name": "adamw_schedule_free", "scheduler.name": "constant", "optimizer.beta1": 0.0},
        "optimizer.beta1=0: adamw_schedule_free needs more than 0",
    ),
    (
        {"optimizer.name": "adamw_schedule_free", "scheduler.name": "constant", "training.ema_decay": 0.99},
        "training.ema_decay=0.99: adamw_schedule_free has an average of its own",
    ),
    ({"optimizer.name": "lion"}, "optimizer.eps=1e-08: lion has none; choose it whole with optimizer=lion"),
    ({"loss.huber_c": 0.2}, "loss.huber_c=0.2 changes nothing with loss=l2; it is for huber, smooth_l1"),
    ({"loss.type": "huber", "loss.huber_scale": 2.0}, "loss.huber_scale=2 changes nothing with loss.huber_sch"),
    ({"loss.debiased": True, "loss.min_snr_gamma": 5.0}, "loss.debiased=true and loss.min_snr_gamma=5 both weigh"),
    ({"loss.noise_offset_random": True}, "loss.noise_offset_random=true changes nothing without loss.noise_offset"),
    ({"loss.min_timestep": 500, "loss.max_timestep": 500}, "loss.min_timestep=500: expected less than loss.max_t"),
    ({"loss.unmasked_weight": 0.5}, "changes nothing without dataset.mask_path=FOLDER or dataset.alpha_mask=true"),
    ({"loss.preservation_class": "Sage_Character"}, "loss.preservation_class=Sage_Character is the trigger itself"),
    (
        {"dataset.path": ".", "dataset.mask_path": "/no/such/masks"},
        "dataset.mask_path=/no/such/masks: there is no such folder",
    ),
    ({"dataset.path": ".", "dataset.mask_path": ".", "dataset.alpha_mask": True}, "both say what the masks are"),
    (
        {"dataset.validation_path": "src", "dataset.path": "src/"},
        "validation_path=src: it is the folder of dataset.path",
    ),
    (
        {"dataset.path": "src", "output_root": "src"},
        "output_root=src: it is the folder of dataset.path too; give another one",
    ),
    (
        {"dataset.path": ".", "dataset.regularisation_path": "src", "dataset.validation_path": "tests/../src"},
        "dataset.regularisation_path=src: it is the folder of dataset.validation_path too; give another one, or",
    ),
    (
        {"dataset.caption_prefix": "a <|endoftext|> b"},
        "caption_prefix=a <|endoftext|> b: has <|endoftext|> in it, with",
    ),
    ({"sampling.prompts": ["<|startoftext|>"]}, "sampling.prompts: has <|startoftext|> in it, with which the text enc"),
    ({"sampling.negative_prompt": "<|endoftext|>"}, "sampling.negative_prompt: has <|endoftext|> in it, with which"),
    (
        {"dataset.trigger": "", "sampling.prompts": ["a"], "dataset.caption_suffix": "[trigger]"},
        "dataset.caption_suffix=[trigger]: names the trigger, and there is none: set dataset.trigger=WORD, or write",
    ),
    ({"base_model.zero_terminal_snr": True}, "base_model.zero_terminal_snr=true: in pure noise, predicting the noise"),
    ({"evaluation.bins": 9}, "evaluation.bins=9: expected at most evaluation.timesteps=8"),
    ({"objective": "val/los"}, "did you mean val/loss?"),
    ({"evaluation.select_by": "fid"}, "evaluation.select_by=fid: expected one of val/loss"),
    ({"evaluation.select_by": "lat"}, "expected one of val/loss, val/loss_ratio, image/fidelity, image/adherence, "),
    ({"objective": "last"}, "objective=last: expected one of val/loss"),
    ({"objective": "image/clip_image"}, "objective=image/clip_image: it is called image/fidelity now"),
    (
        {"objective": "image/mmd"},
        "objective=image/mmd only describes and cannot choose; expected one of val/loss, ",
    ),
    (
        {"objective": "image/adherence", "features.models": ["dinov2"]},
        "would never be measured: no model of features.models=[dinov2] sees texts; add one such as clip_l",
    ),
    (
        {"features.models": ["toy", "nope"]},
        "features.models=[nope]: expected one of toy, clip_l, dinov2, siglip2, a tr",
    ),
    ({"features.models": ["a/clip", "b/clip"]}, "features.models=[a/clip,b/clip]: several would be called clip; take"),
    ({"dataset.folds": 4}, "dataset.folds=4: which one is held out? Give dataset.fold=1 to 4 too"),
    ({"dataset.fold": 2}, "dataset.fold=2: of how many? Give dataset.folds=K too"),
    ({"dataset.folds": 4, "dataset.fold": 5}, "dataset.fold=5: expected 1 to dataset.folds=4"),
    ({"dataset.folds": 11, "dataset.fold": 1}, "dataset.folds=11: expected at least 2 and at most 10"),
    ({"dataset.folds": 4, "dataset.fold": 0}, "dataset.fold=0: expected at least 1"),
    (
        {"dataset.path": ".", "dataset.folds": 4, "dataset.fold": 1, "dataset.holdout": 0.3},
        "dataset.holdout=0.3 changes nothing while dataset.folds=4 is set: leave it out, or set dataset.folds=null",
    ),
    (
        {"dataset.path": ".", "dataset.folds": 4, "dataset.fold": 1, "dataset.validation_path": "src"},
        "dataset.folds=4 and dataset.validation_path=src both say what is held out",
    ),
    ({"evaluation.heldout_loss": False}, "would never be measured: set evaluation.heldout_loss=true, or choose"),
    (
        {"objective": "image/adherence", "features.models": [], "sampling.every_epochs": 0},
        "set features=toy and sampling.every_epochs=1",
    ),
    ({"training.mixed_precision": "fp16", "training.device": "cpu"}, "a CPU trains in bf16 or no"),
]


@pytest.mark.parametrize(("settings", "expected"), TOGETHER, ids=[" ".join(map(str, s)) for s, _ in TOGETHER])
def test_values_that_do_not_suit_each_other(config, settings, expected):
    problems = check(put(config, settings))
    assert len(problems) == 1 and expected in problems[0], problems


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer.name": "prodigy", "optimizer.lr": 1.0, "optimizer.text_encoder_lr": 1.0, "optimizer.d_coef": 2.0},
        {"optimizer.name": "prodigy", "optimizer.lr": 0.5, "optimizer.eps": None, "optimizer.safeguard_warmup": True},
        {"optimizer.name": "lion8bit", "optimizer.eps": None, "optimizer.lora_plus_ratio": 16.0},
        {"optimizer.name": "adamw_schedule_free", "scheduler.name": "constant", "scheduler.warmup_ratio": 0.1},
        {"scheduler.name": "polynomial", "scheduler.power": 2.0, "scheduler.min_lr_ratio": 0.1},
        {"scheduler.name": "warmup_stable_decay", "scheduler.decay_ratio": 0.5, "scheduler.decay_shape": "1-sqrt"},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_optimizers_and_schedules_take_what_they_use(config, settings):
    assert check(put(config, settings)) == []


def test_a_class_takes_the_place_of_a_trigger(config):
    assert check(put(config, {"loss.preservation_class": "humanoid"})) == []
    config.sampling.prompts = ["a humanoid"]
    [problem] = check(put(config, {"dataset.trigger": ""}))
    assert problem.startswith("loss.preservation_class=humanoid takes the place of the trigger, but dataset.trigger")


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
    settings = {"dataset.path": str(tmp_path), "dataset.validation_path": "tests"}
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


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """The names in a single-file SDXL that says how it was trained; its weights are of no size."""
    names = ("model.diffusion_model.a", "first_stage_model.a", "conditioner.embedders.0.transformer.a")
    marks = ("conditioner.embedders.1.model.a", "v_pred", "ztsnr")
    path = tmp_path / "sdxl.safetensors"
    save_file({name: numpy.zeros(0, numpy.float16) for name in names + marks}, path)
    return str(path)


def test_a_single_file_is_trained_as_it_is_marked(config, checkpoint):
    as_marked = {"base_model.prediction_type": "v_prediction", "base_model.zero_terminal_snr": True}
    put(config, {"base_model.path": checkpoint, "base_model.config_path": str(BASE_PATH), **as_marked})
    assert about_the_base(config) == []
    [problem] = about_the_base(put(config, {"base_model.zero_terminal_snr": False}))
    assert "set base_model.zero_terminal_snr=true" in problem
    put(config, {"base_model.zero_terminal_snr": True, "base_model.prediction_type": "epsilon"})
    assert any("set base_model.prediction_type=v_prediction" in problem for problem in about_the_base(config))


def test_keys_of_a_base_that_change_nothing(config, checkpoint):
    [problem] = about_the_base(put(config, {"base_model.config_path": str(BASE_PATH)}))
    assert "config_path" in problem and "changes nothing unless base_model.path is a single file" in problem
    as_marked = {"base_model.prediction_type": "v_prediction", "base_model.zero_terminal_snr": True}
    [problem] = about_the_base(put(config, {"base_model.path": checkpoint, "base_model.variant": "fp16", **as_marked}))
    assert "base_model.variant=fp16 changes nothing with a single file" in problem


def test_what_is_no_base_vae_or_config_is_named_by_its_key(config, tmp_path):
    for key, words in (
        ("path", "nothing is there; give a diffusers folder, a .safetensors file or a hub id"),
        ("vae_path", "nothing is there; expected a diffusers VAE folder"),
    ):
        value = str(tmp_path / "missing")
        [problem] = about_the_base(put(dataclasses.replace(config), {f"base_model.{key}": value}))
        assert problem.startswith(f"base_model.{key}={value}: {words}")
        put(config, {f"base_model.{key}": None})
    put(config, {"base_model.path": str(tmp_path / "no.safetensors"), "base_model.config_path": str(tmp_path)})
    assert f"base_model.config_path={tmp_path}: it has no unet/config.json" in about_the_base(config)[1]


def about_the_base(config: Config) -> list[str]:
    return [problem for problem in check(config) if problem.startswith("base_model.")]


def test_checking_changes_nothing(config):
    before = dataclasses.asdict(config)
    check(config)
    assert dataclasses.asdict(config) == before


def test_nearest():
    assert nearest("fuzzybaer", ["food", "fuzzybear", "robots"]) == "fuzzybear"
    assert nearest("Food", ["food", "fuzzybear"]) == "food"
    assert nearest("zzz", ["food", "fuzzybear"]) is None


@pytest.mark.parametrize(
    ("settings", "given", "told"),
    [
        ({"optimizer.lr": 1e-4}, (), True),
        ({"optimizer.lr": 1.0}, (), True),
        ({"optimizer.lr": 1e-3}, (), False),
        ({"optimizer.lr": 1e-4}, ("optimizer.lr",), False),
        ({"optimizer.lr": 1e-4}, ("preset",), False),
        ({"optimizer.lr": 1.0, "optimizer.name": "prodigy"}, (), False),
        ({"optimizer.lr": 0.0}, (), False),
        ({"optimizer.lr": 1e-5, "network.type": "full"}, (), False),
        ({"optimizer.lr": 1e-4, "resume": "v6"}, (), False),
    ],
)
def test_a_recipes_rate_that_is_far_from_the_bases_own_is_told(config, settings, given, told):
    found = optimizer.rate_remarks(put(config, {"base_model.lora_lr": 3e-3} | settings), given)
    assert found == ([f"optimizer.lr={settings['optimizer.lr']:g} is the recipe's; this base learns well at about "
                      "optimizer.lr=0.003"] if told else [])  # fmt: skip
