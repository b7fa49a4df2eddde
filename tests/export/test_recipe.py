"""From a weights file alone comes a recipe that composes to the config it was trained with."""

import json
import math
import re
import shlex
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from lorasweep.checks import check
from lorasweep.compose.composition import CONF, composing, load_config
from lorasweep.errors import UserError
from lorasweep.export.metadata import metadata
from lorasweep.export.recipe import recipe_from_file
from lorasweep.export.weights import write_weights
from lorasweep.schema import CompatConfig, Config, schema_keys, value_at
from lorasweep.schema.optimizer import OPTIMIZERS

from .test_metadata import FACTS, config

NAME = "lora_unet_middle_block_1_proj_in"
TENSORS = {
    f"{NAME}.lora_down.weight": torch.zeros(8, 4),
    f"{NAME}.lora_up.weight": torch.zeros(4, 8),
    f"{NAME}.alpha": torch.tensor(3.0),
}
KOHYA = {  # as sd-scripts writes them, GUI settings of Food v2
    "ss_output_name": "Food_v2",
    "ss_seed": "1337",
    "ss_network_module": "networks.lora",
    "ss_network_dim": "16",
    "ss_network_alpha": "8.0",
    "ss_network_dropout": "None",
    "ss_learning_rate": "2e-06",
    "ss_unet_lr": "0.0001",
    "ss_text_encoder_lr": "[5e-05, 5e-05]",
    "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1,betas=[0.9, 0.99])",
    "ss_lr_scheduler": "constant_with_warmup",
    "ss_lr_warmup_steps": "405",
    "ss_num_epochs": "20",
    "ss_max_train_steps": "4050",
    "ss_num_batches_per_epoch": "203",
    "ss_gradient_accumulation_steps": "1",
    "ss_batch_size_per_device": "4",
    "ss_mixed_precision": "bf16",
    "ss_resolution": "(1024, 1024)",
    "ss_enable_bucket": "True",
    "ss_min_bucket_reso": "512",
    "ss_max_bucket_reso": "2048",
    "ss_flip_aug": "False",
    "ss_keep_tokens": "1",
    "ss_max_token_length": "225",
    "ss_min_snr_gamma": "5.0",
    "ss_noise_offset": "0.0357",
    "ss_loss_type": "l2",
    "ss_huber_c": "None",
    "ss_dataset_dirs": json.dumps({"30_food thing": {"n_repeats": 30, "img_count": 27}}),
    "ss_reg_dataset_dirs": "{}",
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_sd_model_name": "juggernaut.safetensors",
    "ss_new_sd_model_hash": "e" * 64,
    "ss_ip_noise_gamma": "0.1",
    "ss_fp8_base": "True",
    "ss_multires_noise_iterations": "None",
}


def written(folder: Path, found: dict[str, str], tensors: dict[str, torch.Tensor] = TENSORS) -> Path:
    path = folder / "Some_v3.safetensors"
    write_weights(path, tensors, found)
    return path


def composed(recipe: str) -> Any:
    """What the recipe makes of the schema's defaults; fails on an unknown key or a wrong type."""
    return OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(recipe))


def comments(recipe: str) -> str:
    return "\n".join(line for line in recipe.splitlines() if line.startswith("#"))


def unusual() -> Config:
    """A config in which many keys differ from their defaults, with strings that YAML might misread."""
    settings = config()
    settings.recipe, settings.resume = "food/v8", "latest"
    settings.dataset.path, settings.dataset.repeats = "/data/my bears: all", 12
    settings.dataset.caption_suffix = "${oc.env:HOME}, 100%"
    settings.dataset.trigger = "1e5"
    settings.sampling.prompts, settings.sampling.seeds = (
        ["{trigger} waving\nat night", "yes", "ä # b"],
        [1, 2],
    )
    settings.optimizer.text_encoder_2_lr, settings.optimizer.eps = 2e-5, None
    settings.tracker.wandb.tags = ["null", "007"]
    return settings


def exact(recipe: str) -> list[str]:
    """The overrides of the command that trains a recipe as its file was trained."""
    [line] = re.findall(r"^# As it was trained: python train.py (.*)$", recipe, re.MULTILINE)
    return shlex.split(line.replace("FILE", "org/model").replace("FOLDER", "."))


def of_the_run(config: Config) -> dict[str, Any]:
    """All that decides what a run learns and how it is measured; not where it is done and shown."""
    keys = [key.name for key in schema_keys().values() if key.resume not in ("free", "which")]
    return {key: value_at(config, key) for key in keys}


def test_our_file_gives_its_recipe_back(tmp_path: Path) -> None:
    settings = unusual()
    recipe = recipe_from_file(written(tmp_path, metadata(settings, FACTS)))
    again: Any = OmegaConf.to_object(composed(recipe))
    same = ("network", "optimizer", "scheduler", "loss", "evaluation", "compat")
    assert {part: asdict(getattr(again, part)) for part in same} == {
        part: asdict(getattr(settings, part)) for part in same
    }
    assert (again.name, again.seed, again.dataset.path) == (settings.name, settings.seed, settings.dataset.path)
    assert (again.dataset.trigger, again.dataset.caption_suffix) == ("1e5", "${oc.env:HOME}, 100%")
    assert again.sampling.prompts == settings.sampling.prompts
    assert recipe.startswith("# @package _global_\n#")
    assert "On any base, once it is conf/lora/fuzzybear.yaml: python train.py lora=fuzzybear\n" in recipe
    assert "d" * 64 in comments(recipe)


def test_base_resolution_and_machine_are_no_part_of_a_recipe(tmp_path: Path) -> None:
    with composing(CONF):
        line = ["lora=food/v8", "base_model=sdxl", "dataset.resolution=768", "tracker=none", "training.device=cpu"]
        settings = load_config([*line, "training.mixed_precision=bf16", "output_root=/tmp/elsewhere"])
    file = written(tmp_path, metadata(settings, FACTS))
    recipe = OmegaConf.create(recipe_from_file(file))
    assert "base_model" not in recipe and "tracker" not in recipe and "output_root" not in recipe
    assert not {"resolution", "bucket_step", "cache"} & recipe.dataset.keys()
    assert not {"device", "mixed_precision", "compile"} & recipe.training.keys()
    assert not {"steps", "guidance"} & recipe.sampling.keys()
    assert exact(recipe_from_file(file))[1:] == [
        "base_model=sdxl",
        "dataset.resolution=768",
        "training.mixed_precision=bf16",
    ]


@pytest.mark.parametrize(
    "line",
    [
        ["lora=fuzzybear", "network.rank=8"],
        ["lora=food/v8", "base_model=sdxl"],
        ["lora=food/v2", "compat=kohya", "compat.pad_captions=false"],
        [
            "lora=starwars",
            "base_model=sdxl",
            "base_model.path=org/model",
            "dataset.resolution=768",
            "optimizer=lion",
        ],
        ["lora=fuzzybear", "base_model.guidance=2", "sampling.steps=7", "dataset.bucket_min=20", "scheduler=linear"],
    ],
)
def test_the_recipe_trains_the_same_run_again(tmp_path: Path, line: list[str]) -> None:
    with composing(CONF):
        settings = load_config(line)
    shutil.copytree(CONF, tmp_path / "conf")
    saved = tmp_path / "conf" / "lora" / "mine" / "again.yaml"
    saved.parent.mkdir()
    saved.write_text(recipe_from_file(written(tmp_path, metadata(settings, FACTS)), saved))
    command = exact(saved.read_text())
    assert command[0] == "lora=mine/again"
    with composing(tmp_path / "conf"):
        assert of_the_run(load_config(command)) == of_the_run(settings)
        assert load_config(command).recipe == "mine/again"


def test_a_recipe_of_a_toy_run_trains_sdxl_at_its_size(tmp_path: Path) -> None:
    with composing(CONF):
        settings = load_config(["lora=starwars", "optimizer.lr=2e-3", "tracker=none"])
    assert settings.dataset.resolution == 64 and settings.dataset.bucket_max == 64
    shutil.copytree(CONF, tmp_path / "conf")
    saved = tmp_path / "conf" / "lora" / "sage.yaml"
    saved.write_text(recipe_from_file(written(tmp_path, metadata(settings, FACTS)), saved))
    with composing(tmp_path / "conf"):
        large = load_config(["lora=sage", "base_model=sdxl"])
        tracked = load_config(["lora=sage", "tracker=default"]).tracker.wandb.mode
    assert large.base_model.path == "stabilityai/stable-diffusion-xl-base-1.0"
    assert (large.dataset.resolution, large.dataset.bucket_min, large.dataset.bucket_max) == (1024, 512, 1024)
    assert (large.dataset.bucket_step, large.sampling.guidance, large.sampling.steps) == (64, 5.0, 30)
    assert large.optimizer.lr == 2e-3 and tracked == "auto"


@pytest.mark.parametrize(
    ("choices", "toy", "sdxl"),
    [
        (["base_model=toy"], (3e-3, 1.5e-3), (1e-4, 5e-5)),
        (["base_model=sdxl"], (3e-3, 1.5e-3), (1e-4, 5e-5)),
        (["base_model=toy", "optimizer=lion"], (9e-4, 4.5e-4), (3e-5, 1.5e-5)),
        (["base_model=toy", "optimizer.text_encoder_lr=0"], (3e-3, 0.0), (1e-4, 0.0)),
        (["base_model=toy", "base_model.lora_lr=2e-3"], (3e-3, 1.5e-3), (1e-4, 5e-5)),
        (["base_model=sdxl", "optimizer=prodigy"], (1.0, 1.0), (1.0, 1.0)),
        (["base_model=toy", "optimizer.lr=7e-4"], (7e-4, 3.5e-4), (7e-4, 3.5e-4)),
    ],
)
def test_a_rate_that_was_the_bases_own_is_that_of_the_next_base(
    tmp_path: Path, choices: list[str], toy: tuple[float, float], sdxl: tuple[float, float]
) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    saved = tmp_path / "conf" / "lora" / "sage.yaml"
    with composing(CONF):
        settings = load_config(["lora=custom", "name=Sage", "dataset.path=.", "dataset.trigger=x", *choices])
    saved.write_text(recipe_from_file(written(tmp_path, metadata(settings, FACTS)), saved))
    with composing(tmp_path / "conf"):
        for base, rates in (("toy", toy), ("sdxl", sdxl)):
            found = load_config(["lora=sage", f"base_model={base}"]).optimizer
            assert (found.lr, found.text_encoder_lr) == pytest.approx(rates)
        assert of_the_run(load_config(exact(saved.read_text()))) == of_the_run(settings)
    assert ("a rate for other bases: optimizer.lr=0.0007" in saved.read_text()) == ("optimizer.lr=7e-4" in choices)


@pytest.mark.parametrize("place", ["conf/lora/sage.yml", "conf/lora/sage", "sage.yaml"])
def test_a_file_that_is_no_choice_of_lora_is_told_where_to_go(tmp_path: Path, place: str) -> None:
    recipe = recipe_from_file(written(tmp_path, KOHYA), tmp_path / place)
    assert "On any base, once it is conf/lora/food_v2.yaml: python train.py lora=food_v2 " in recipe


def test_a_config_of_another_release_loses_what_is_unknown(tmp_path: Path) -> None:
    found = metadata(config(), FACTS)
    about = json.loads(found["lorasweep.config"])
    about["network"] |= {"spin": 3, "rank": "many", "alpha": 0}
    about["old"] = {"key": [1]}
    about["dataset"] |= {"bucket_min": "20", "buckets": "maybe", "trigger": 7, "resolution": None}
    about["optimizer"]["lr"] = "2e-4"
    del about["loss"], about["compat"]
    recipe = recipe_from_file(written(tmp_path, found | {"lorasweep.config": json.dumps(about)}))
    told = comments(recipe)
    assert "network.spin=3: there is no such key: left out" in told and "old.key=[1]: there is no such key" in told
    assert "network.rank=many: expected a whole number" in told and "network.alpha=0: expected more than 0" in told
    assert "dataset.buckets=maybe" in told and "dataset.resolution=None" in told
    found = composed(recipe)
    assert found.network.convolutions and found.optimizer.lr == 2e-4 and found.dataset.trigger == "7"


def test_a_file_of_sd_scripts_gives_what_it_tells(tmp_path: Path) -> None:
    te = {f"lora_te{n}_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.zeros(16, 4) for n in (1, 2)}
    up = {name.replace("down", "up"): torch.zeros(4, 16) for name in te}
    recipe = recipe_from_file(written(tmp_path, KOHYA, TENSORS | te | up))
    found = composed(recipe)
    expected = Config(name="Food_v2", seed=1337, recipe="food_v2")
    expected.network.rank, expected.network.alpha = 16, 8.0
    expected.network.ranks = [r"\.proj_(in|out)$:8/3", "^text_encoder:16/16"]  # of the tensors
    expected.network.attention = expected.network.feed_forward = False  # the file has proj_in alone
    expected.optimizer.lr, expected.optimizer.text_encoder_lr = 1e-4, 5e-5
    expected.optimizer.name, expected.optimizer.weight_decay, expected.optimizer.beta2 = (
        "adamw8bit",
        0.1,
        0.99,
    )
    expected.scheduler.name, expected.scheduler.warmup_steps = "constant", 405
    expected.training.batch_size, expected.training.epochs, expected.training.max_steps = 4, 20, 4050
    expected.dataset.max_tokens, expected.dataset.repeats = 225, 30
    expected.dataset.trigger = "food thing"
    expected.loss.min_snr_gamma, expected.loss.noise_offset = 5.0, 0.0357
    expected.loss.input_perturbation = 0.1
    expected.compat = CompatConfig(**dict.fromkeys(asdict(CompatConfig()), True))
    assert asdict(OmegaConf.to_object(found)) == asdict(expected)
    for note in (
        "base_model.quantization=int8",
        "dataset.path",
        "juggernaut.safetensors",
        "e" * 64,
        "a guess",
        "dataset.holdout=0 objective=train/loss evaluation.select_by=last",
        "in ways of its own: docs/coming-from-kohya.md",
        "dataset.keep_tokens=1 changes nothing without dataset.shuffle_tags=true",
    ):
        assert note in comments(recipe)
    assert "multires" not in recipe
    assert exact(recipe) == [
        "lora=food_v2",
        "base_model=sdxl",
        "base_model.path=org/model",
        "dataset.path=.",
        "training.mixed_precision=bf16",
    ]


def test_a_recipe_asks_for_kohyas_ways_of_kohyas_files_alone(tmp_path: Path) -> None:
    sampled_anew = composed(recipe_from_file(written(tmp_path, KOHYA | {"ss_cache_latents": "False"}))).compat
    assert not sampled_anew.frozen_latents and sampled_anew.round_each_epoch
    ours_edited = KOHYA | {"ss_training_comment": "lorasweep 1.0"}
    for metadata_of_others in ({}, ours_edited, {"modelspec.title": "made elsewhere"}):
        recipe = recipe_from_file(written(tmp_path, metadata_of_others))
        assert "compat" not in recipe and not any(composed(recipe).compat.values())
    validated = recipe_from_file(written(tmp_path, KOHYA | {"ss_num_validation_images": "3"}))
    assert "dataset.holdout=0" not in comments(validated)


def test_the_batch_of_several_gpus_is_that_of_all(tmp_path: Path) -> None:
    def read(total: int, accumulation: int) -> tuple[int, str]:
        sizes = {"ss_total_batch_size": str(total), "ss_gradient_accumulation_steps": str(accumulation)}
        recipe = recipe_from_file(written(tmp_path, KOHYA | sizes))
        return composed(recipe).training.batch_size, comments(recipe)

    assert read(total=8, accumulation=2)[0] == 4 and "GPUs" not in read(total=8, accumulation=2)[1]
    size, notes = read(total=24, accumulation=2)
    assert size == 12 and "3 had 4 images each" in notes


def test_epochs_alone_are_enough_where_they_give_the_steps(tmp_path: Path) -> None:
    steps = {"ss_max_train_steps": str(20 * math.ceil(203 / 2)), "ss_gradient_accumulation_steps": "2"}
    found = composed(recipe_from_file(written(tmp_path, KOHYA | steps)))
    assert (found.training.epochs, found.training.max_steps) == (20, None)


def test_learning_rates_fall_back_as_in_sd_scripts(tmp_path: Path) -> None:
    silent = {"ss_unet_lr": "None", "ss_text_encoder_lr": "None", "ss_learning_rate": "0.0003"}
    te2 = {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.zeros(8, 4)}
    found = composed(recipe_from_file(written(tmp_path, KOHYA | silent, TENSORS | te2))).optimizer
    assert (found.lr, found.text_encoder_lr, found.text_encoder_2_lr) == (3e-4, 0.0, 3e-4)
    found = composed(recipe_from_file(written(tmp_path, KOHYA | silent))).optimizer
    assert (found.text_encoder_lr, found.text_encoder_2_lr) == (0.0, None)


def test_a_file_without_metadata_still_tells_rank_and_alpha(tmp_path: Path) -> None:
    recipe = recipe_from_file(written(tmp_path, {}))
    found = composed(recipe)
    assert (found.name, found.network.rank, found.network.alpha) == ("Some_v3", 8, 3.0)
    assert found.network.projections
    assert not found.network.attention
    for unknown in (
        "the learning rate",
        "the optimizer",
        "the schedule",
        "the number of steps",
        "dataset.repeats",
    ):
        assert unknown in comments(recipe)


def test_a_vae_of_its_own_is_named(tmp_path: Path) -> None:
    used = {"ss_vae_name": "sdxl_vae.safetensors", "ss_new_vae_hash": "63ae"}
    told = "where its VAE is: give base_model.vae_path=FILE (name sdxl_vae.safetensors, SHA-256 63ae)"
    assert told in comments(recipe_from_file(written(tmp_path, KOHYA | used)))
    assert "vae_path" not in comments(recipe_from_file(written(tmp_path, KOHYA)))


def test_damaged_or_foreign_values_become_notes(tmp_path: Path) -> None:
    odd = {
        "ss_network_dim": "many",
        "ss_text_encoder_lr": "[1e-4",
        "ss_dataset_dirs": '{"a": 3}',
        "ss_optimizer": "some.where.Sophia(rho=2)",
        "ss_network_args": "[1, 2]",
        "ss_network_module": "networks.lora_fa",
        "ss_resolution": "(768, 1344)",
        "ss_lr_scheduler": "cosine_with_restarts",
        "ss_reg_dataset_dirs": '{"1_bear": {"n_repeats": 1, "img_count": 100}}',
    }
    recipe = recipe_from_file(written(tmp_path, KOHYA | odd))
    found = composed(recipe)
    assert found.network.rank == 8  # of the tensors
    assert found.dataset.resolution == 1024  # sqrt(768 * 1344) = 1016, to a multiple of 64
    for note in (
        "ss_network_dim=many",
        "Sophia",
        "ss_network_args=[1, 2]",
        "networks.lora_fa",
        "scheduler.cycles",
        "regularisation_path",
        "[1e-4",
    ):
        assert note in comments(recipe)


@pytest.mark.parametrize(
    ("theirs", "expected", "note"),
    [
        ("torch.optim.adamw.AdamW", {"name": "adamw", "weight_decay": 0.01, "beta2": 0.999}, None),
        ("bitsandbytes.optim.adamw.PagedAdamW8bit(betas=(0.9, 0.99))", {"name": "adamw8bit", "beta2": 0.99}, None),
        (
            "lion_pytorch.lion_pytorch.Lion",
            {"name": "lion", "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.99, "eps": None},
            None,
        ),
        (
            "prodigyopt.prodigy.Prodigy(decouple=True,weight_decay=0.1,d_coef=2,safeguard_warmup=True,"
            "betas=(0.9, 0.99))",
            {"name": "prodigy", "weight_decay": 0.1, "d_coef": 2, "safeguard_warmup": True, "beta2": 0.99, "d0": 1e-6},
            None,
        ),
        ("prodigyopt.prodigy.Prodigy(slice_p=11)", {"name": "prodigy", "weight_decay": 0.0}, "{'slice_p': 11}"),
        (
            "schedulefree.adamw_schedulefree.AdamWScheduleFree(warmup_steps=30,eps=1e-07)",
            {"name": "adamw_schedule_free", "eps": 1e-7, "weight_decay": 0.0},
            None,
        ),
        (
            "transformers.optimization.Adafactor(relative_step=False)",
            {"name": "adafactor", "weight_decay": 0.0, "beta1": None, "beta2": None, "eps": None},
            "{'scale_parameter': True}",
        ),
        (
            "transformers.optimization.Adafactor(scale_parameter=False,relative_step=False,warmup_init=False)",
            {"name": "adafactor", "weight_decay": 0.0, "beta1": None, "beta2": None, "eps": None},
            None,
        ),
    ],
)
def test_optimizers_of_sd_scripts(tmp_path: Path, theirs: str, expected: dict[str, Any], note: str | None) -> None:
    recipe = recipe_from_file(written(tmp_path, KOHYA | {"ss_optimizer": theirs, "ss_unet_lr": "1.0"}))
    found = composed(recipe)
    assert {key: found.optimizer[key] for key in expected} == expected
    assert ("these arguments" in comments(recipe)) == (note is not None) and (note or "") in comments(recipe)
    assert [line for line in check(OmegaConf.to_object(found)) if line.startswith(("optimizer", "scheduler"))] == []
    free = expected["name"] == "adamw_schedule_free"
    assert (found.scheduler.name, found.scheduler.warmup_steps) == ("constant", 30 if free else 405)


@pytest.mark.parametrize("choice", sorted(OPTIMIZERS))
def test_optimizers_that_we_write_are_read_in_sd_scripts_words(tmp_path: Path, choice: str) -> None:
    rates = ["optimizer.lr=0.5", "optimizer.text_encoder_lr=0.5", "optimizer.weight_decay=0.03"]
    more = {
        "prodigy": ["optimizer.d_coef=0.8", "optimizer.d0=1e-5", "optimizer.safeguard_warmup=false"],
        "adamw_schedule_free": ["scheduler=constant", "optimizer.beta2=0.95", "optimizer.eps=1e-6"],
        "lion": ["optimizer.beta1=0.95", "optimizer.lora_plus_ratio=12"],
    }
    with composing(CONF):
        settings = load_config(["lora=starwars", f"optimizer={choice}", *rates, *more.get(choice, [])])
    ours = {key: value for key, value in metadata(settings, FACTS).items() if not key.startswith("lorasweep.")}
    te = {f"lora_te{n}_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.zeros(8, 4) for n in (1, 2)}
    found = OmegaConf.to_object(composed(recipe_from_file(written(tmp_path, ours, TENSORS | te))))
    assert asdict(found.optimizer) == asdict(settings.optimizer)
    assert found.scheduler.name == settings.scheduler.name


@pytest.mark.parametrize(
    ("theirs", "name", "untold"),
    [
        ("cosine_with_min_lr", "cosine", ["min_lr_ratio"]),
        ("polynomial", "polynomial", ["power"]),
        ("inverse_sqrt", "inverse_sqrt", []),
        ("warmup_stable_decay", "warmup_stable_decay", ["decay_ratio", "min_lr_ratio"]),
    ],
)
def test_schedules_of_sd_scripts(tmp_path: Path, theirs: str, name: str, untold: list[str]) -> None:
    recipe = recipe_from_file(written(tmp_path, KOHYA | {"ss_lr_scheduler": theirs}))
    found = composed(recipe)
    assert (found.scheduler.name, found.scheduler.warmup_steps) == (name, 405)
    shapes = [key.name for key in schema_keys().values() if key.name.startswith("scheduler.") and key.needs]
    assert {key for key in shapes if f"set {key}" in comments(recipe)} == {f"scheduler.{key}" for key in untold}


def test_lora_plus_of_sd_scripts(tmp_path: Path) -> None:
    def read(arguments: dict[str, str]) -> tuple[float | None, str]:
        recipe = recipe_from_file(written(tmp_path, KOHYA | {"ss_network_args": json.dumps(arguments)}))
        return composed(recipe).optimizer.lora_plus_ratio, comments(recipe)

    assert read({"conv_dim": "8"})[0] is None
    ratio, notes = read({"loraplus_lr_ratio": "16"})
    assert ratio == 16 and "LoRA+" not in notes
    ratio, notes = read({"loraplus_lr_ratio": "16", "loraplus_text_encoder_lr_ratio": "4"})
    assert ratio == 16 and "the text encoders' LoRA+ ratio, 4.0" in notes
    ratio, notes = read({"loraplus_unet_lr_ratio": "8"})
    assert ratio == 8 and "the text encoders' LoRA+ ratio, 1.0" in notes


def test_a_strangers_metadata_stays_text(tmp_path: Path) -> None:
    evil = {
        "ss_sd_model_name": "x\nseed: 666\u2028seed: 667\x85seed: 668\x07",
        "modelspec.trigger_phrase": "${oc.env:HOME}",
    }
    found = composed(recipe_from_file(written(tmp_path, KOHYA | evil)))
    assert found.seed == 1337
    assert found.dataset.trigger == "${oc.env:HOME}"


def test_what_holds_no_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sd_v1"):
        recipe_from_file(written(tmp_path, {"ss_base_model_version": "sd_v1"}))
    with pytest.raises(UserError, match="no recipe"):
        recipe_from_file(written(tmp_path, {}, {"unet.conv_in.weight": torch.zeros(1)}))
    for broken in ("{", "[]", "3"):
        with pytest.raises(UserError, match="damaged"):
            recipe_from_file(written(tmp_path, {"lorasweep.config": broken}))
