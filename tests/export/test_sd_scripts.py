"""What sd-scripts writes into a file is read, or named: kinds of metadata that files were met with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import Tensor

from lorasweep.adapters.ranks import layer_rank
from lorasweep.checks import check
from lorasweep.compose.composition import CONF, composing, load_config
from lorasweep.data.buckets import bucket_sizes, nearest_ratio
from lorasweep.errors import UserError
from lorasweep.export.layers import read_layers
from lorasweep.export.recipe import recipe_from_file
from lorasweep.export.sd_scripts import settings_of
from lorasweep.export.sd_scripts.about import FACTS
from lorasweep.families.sdxl.naming import USUAL
from lorasweep.schema import Config, NetworkConfig

from .test_recipe import KOHYA, TENSORS, comments, composed, written

TE = {
    f"lora_te{n}_text_model_encoder_layers_0_mlp_fc1.lora_{end}.weight": torch.zeros(8, 8)
    for n in (1, 2)
    for end in ("down", "up")
}
# Every key that sd-scripts (v0.10.1) writes for a LoRA of SDXL, with a value that says something.
WRITTEN = {
    "ss_session_id": "7",
    "ss_training_started_at": "1767323045.0",
    "ss_training_finished_at": "1767323045.0",
    "ss_output_name": "Sage",
    "ss_learning_rate": "0.0003",
    "ss_text_encoder_lr": "5e-05",
    "ss_unet_lr": "0.0002",
    "ss_num_train_images": "100",
    "ss_num_validation_images": "3",
    "ss_num_reg_images": "5",
    "ss_num_batches_per_epoch": "50",
    "ss_num_epochs": "11",
    "ss_epoch": "10",
    "ss_steps": "500",
    "ss_gradient_checkpointing": "True",
    "ss_gradient_accumulation_steps": "3",
    "ss_max_train_steps": "777",
    "ss_lr_warmup_steps": "31",
    "ss_lr_scheduler": "linear",
    "ss_network_module": "networks.dylora",
    "ss_network_dim": "5",
    "ss_network_alpha": "2.5",
    "ss_network_dropout": "0.2",
    "ss_network_args": '{"rank_dropout": "0.1"}',
    "ss_mixed_precision": "fp16",
    "ss_full_fp16": "True",
    "ss_v2": "False",
    "ss_base_model_version": "sdxl_base_v0-9",
    "ss_clip_skip": "2",
    "ss_max_token_length": "150",
    "ss_cache_latents": "False",
    "ss_seed": "99",
    "ss_lowram": "True",
    "ss_noise_offset": "0.05",
    "ss_multires_noise_iterations": "6",
    "ss_multires_noise_discount": "0.2",
    "ss_adaptive_noise_scale": "0.01",
    "ss_zero_terminal_snr": "True",
    "ss_training_comment": "by hand",
    "ss_sd_scripts_commit_hash": "abc",
    "ss_optimizer": "lion_pytorch.lion_pytorch.Lion",
    "ss_max_grad_norm": "0.5",
    "ss_caption_dropout_rate": "0.3",
    "ss_caption_dropout_every_n_epochs": "2",
    "ss_caption_tag_dropout_rate": "0.15",
    "ss_face_crop_aug_range": "2.0,4.0",
    "ss_prior_loss_weight": "0.7",
    "ss_min_snr_gamma": "5.0",
    "ss_scale_weight_norms": "1.5",
    "ss_ip_noise_gamma": "0.1",
    "ss_debiased_estimation": "True",
    "ss_noise_offset_random_strength": "True",
    "ss_ip_noise_gamma_random_strength": "True",
    "ss_loss_type": "huber",
    "ss_huber_schedule": "constant",
    "ss_huber_scale": "2.0",
    "ss_huber_c": "0.2",
    "ss_fp8_base": "True",
    "ss_fp8_base_unet": "True",
    "ss_validation_seed": "3",
    "ss_validation_split": "0.2",
    "ss_max_validation_steps": "9",
    "ss_validate_every_n_epochs": "4",
    "ss_validate_every_n_steps": "8",
    "ss_resize_interpolation": "lanczos",
    "ss_datasets": '[{"batch_size_per_device": 6, "subsets": [{"img_count": 3, "num_repeats": 2}]}]',
    "ss_batch_size_per_device": "6",
    "ss_total_batch_size": "24",
    "ss_resolution": "(768, 768)",
    "ss_color_aug": "True",
    "ss_flip_aug": "True",
    "ss_random_crop": "True",
    "ss_shuffle_caption": "True",
    "ss_enable_bucket": "False",
    "ss_bucket_no_upscale": "True",
    "ss_min_bucket_reso": "256",
    "ss_max_bucket_reso": "1536",
    "ss_keep_tokens": "2",
    "ss_dataset_dirs": '{"7_sage": {"n_repeats": 7, "img_count": 4}}',
    "ss_reg_dataset_dirs": '{"1_bear": {"n_repeats": 1, "img_count": 100}}',
    "ss_tag_frequency": '{"7_sage": {"mint": 4}}',
    "ss_bucket_info": '{"buckets": {"0": {"resolution": [800, 1216], "count": 3}}}',
    "ss_sd_model_hash": "31e35c80",
    "ss_new_sd_model_hash": "ab" * 32,
    "ss_sd_model_name": "juggernaut.safetensors",
    "ss_vae_hash": "63ae",
    "ss_new_vae_hash": "cd" * 32,
    "ss_vae_name": "sdxl_vae.safetensors",
    "sshs_model_hash": "ef" * 32,
    "sshs_legacy_hash": "0123",
    "modelspec.sai_model_spec": "1.0.1",
    "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
    "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
    "modelspec.title": "Sage",
    "modelspec.resolution": "1024x1024",
    "modelspec.description": "words",
    "modelspec.author": "someone",
    "modelspec.date": "2026-01-02T03:04:05",
    "modelspec.hash_sha256": "0xab",
    "modelspec.implementation_version": "1",
    "modelspec.license": "none",
    "modelspec.usage_hint": "hint",
    "modelspec.thumbnail": "data:",
    "modelspec.tags": "a,b",
    "modelspec.merged_from": "a,b",
    "modelspec.trigger_phrase": "sage woman",
    "modelspec.prediction_type": "v",
    "modelspec.timestep_range": "100,900",
    "modelspec.encoder_layer": "1",
    "modelspec.preprocessor": "x",
    "modelspec.is_negative_embedding": "false",
    "modelspec.unet_dtype": "fp16",
    "modelspec.vae_dtype": "fp32",
}
# What these are told by depends on others.
BESIDE: dict[str, dict[str, str]] = {
    "ss_unet_lr": {"ss_learning_rate": "0.0003"},
    "ss_noise_offset_random_strength": {"ss_noise_offset": "0.1"},
    "ss_adaptive_noise_scale": {"ss_noise_offset": "0.1"},
    "ss_multires_noise_discount": {"ss_multires_noise_iterations": "6"},
    "ss_ip_noise_gamma_random_strength": {"ss_ip_noise_gamma": "0.1"},
    "ss_zero_terminal_snr": {"modelspec.prediction_type": "v"},
    "ss_gradient_accumulation_steps": {"ss_max_train_steps": "500", "ss_num_epochs": "10"},
    "ss_num_batches_per_epoch": {
        "ss_max_train_steps": "500",
        "ss_num_epochs": "10",
        "ss_batch_size_per_device": "2",
    },
    "ss_total_batch_size": {"ss_batch_size_per_device": "6"},
    "ss_tag_frequency": {"ss_dataset_dirs": '{"7_sage": {"n_repeats": 7, "img_count": 4}}'},
    "ss_new_vae_hash": {"ss_vae_name": "x"},
    **{key: {"ss_loss_type": "huber"} for key in ("ss_huber_schedule", "ss_huber_scale", "ss_huber_c")},
}


def found(metadata: dict[str, str], tensors: dict[str, Tensor] | None = None) -> tuple[dict[str, Any], str]:
    """The settings and notes of a file, as they are read, before any check."""
    about = settings_of("Some", metadata, read_layers(tensors or TENSORS | TE, USUAL))
    return about.settings, "\n".join(about.notes)


@pytest.mark.parametrize("key", WRITTEN)
def test_every_key_that_sd_scripts_writes_is_read_or_named(key: str) -> None:
    by_them = {"ss_session_id": "1"} if key != "ss_session_id" else {"ss_epoch": "1"}
    beside = by_them | BESIDE.get(key, {})
    assert (found(beside | {key: WRITTEN[key]}) != found(beside)) == (key not in FACTS)


def test_keys_that_nobody_knows_are_named() -> None:
    assert "ss_new_in_2027=x: lorasweep has nothing like it" in found({"ss_new_in_2027": "x"})[1]
    assert "ss_new" not in found({"ss_new_in_2027": "None", "ss_new_flag": "False"})[1]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("0.1", "warmup_ratio", 0.1),
        ("0.05", "warmup_ratio", 0.05),
        ("10%", "warmup_ratio", 0.1),
        ("405", "warmup_steps", 405),
        ("405.0", "warmup_steps", 405),
    ],
)
def test_a_warmup_is_a_share_or_steps(text: str, key: str, value: float) -> None:
    settings, _ = found(KOHYA | {"ss_lr_warmup_steps": text})
    given = {name: value for name, value in settings.items() if "warmup" in name}
    assert given == {f"scheduler.{key}": value}
    assert not any("warmup" in name for name in found(KOHYA | {"ss_lr_warmup_steps": "0"})[0])


def test_a_warmup_longer_than_the_run_is_left_out_and_named() -> None:
    settings, notes = found(KOHYA | {"ss_lr_warmup_steps": "5000", "ss_lr_scheduler": "inverse_sqrt"})
    assert "a warmup of 5000 steps in a run of 4050" in notes
    assert settings["scheduler.name"] == "constant" and "1 / sqrt(1 + step / 10,000)" in notes


@pytest.mark.parametrize(
    ("optimizer", "ours", "rate"),
    [
        ("dadaptation.dadapt_adam.DAdaptAdam(decouple=True,weight_decay=0.2,betas=(0.9, 0.99))", "prodigy", 1.0),
        ("dadaptation.experimental.dadapt_adan_ip.DAdaptAdanIP", "prodigy", 1.0),
        ("prodigyplus.prodigy_plus_schedulefree.ProdigyPlusScheduleFree(d0=1e-05)", "prodigy", 1.0),
        ("some.where.Sophia(rho=2)", "adamw", None),
        ("torch.optim.sgd.SGD(momentum=0.9)", "adamw", None),
        ("transformers.optimization.Adafactor(relative_step=True)", "adafactor", None),
    ],
)
def test_a_rate_of_1_never_reaches_an_optimizer_that_takes_it_as_it_is(
    tmp_path: Path, optimizer: str, ours: str, rate: float | None
) -> None:
    told = {"ss_optimizer": optimizer, "ss_learning_rate": "1.0", "ss_unet_lr": "1.0", "ss_text_encoder_lr": "[1.0]"}
    recipe = recipe_from_file(written(tmp_path, KOHYA | told, TENSORS | TE))
    given = OmegaConf.create(recipe)._content["optimizer"]._content  # type: ignore[index, union-attr]
    assert str(given["lr"]) == (str(rate) if rate else "${base_model.lora_lr}")
    assert str(given["text_encoder_lr"]) == (str(rate) if rate else "${of_base_lr:1}")
    assert OmegaConf.create(recipe).optimizer.name == ours
    about = optimizer.partition("(")[0] if ours != "adafactor" else "with relative steps, 1.0 and 1.0"
    assert about in comments(recipe)
    assert "weight_decay: 0.2" in recipe or "DAdaptAdam(" not in optimizer


def test_kin_of_adam_keep_their_rate() -> None:
    settings, notes = found(KOHYA | {"ss_optimizer": "bitsandbytes.optim.ademamix.AdEMAMix8bit(alpha=5.0)"})
    assert (settings["optimizer.name"], settings["optimizer.lr"]) == ("adamw", 1e-4)
    assert "AdEMAMix8bit" in notes and "{'alpha': 5.0}" in notes


def test_prodigy_has_one_rate_near_1() -> None:
    prodigy = {"ss_optimizer": "prodigyopt.prodigy.Prodigy(decouple=True)"}
    settings, notes = found(KOHYA | prodigy)
    assert (settings["optimizer.lr"], settings["optimizer.text_encoder_lr"]) == (1.0, 1.0)
    assert "a learning rate of 0.0001: prodigy finds its own" in notes and "these arguments" not in notes
    rates = {"ss_unet_lr": "0.5", "ss_text_encoder_lr": "0.0"}
    settings, _ = found(KOHYA | prodigy | rates)
    assert (settings["optimizer.lr"], settings["optimizer.text_encoder_lr"]) == (0.5, 0.0)


def dataset(resolution: list[int], subsets: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "is_dreambooth": True,
        "batch_size_per_device": 4,
        "num_train_images": 100,
        "resolution": resolution,
        "enable_bucket": True,
        "min_bucket_reso": 256,
        "max_bucket_reso": 1536,
        "tag_frequency": {},
        "bucket_info": {},
        "resize_interpolation": None,
        "subsets": subsets,
        **more,
    }


def subset(folder: str, **more: Any) -> dict[str, Any]:
    return {
        "img_count": 10,
        "num_repeats": 5,
        "color_aug": False,
        "flip_aug": True,
        "random_crop": False,
        "shuffle_caption": True,
        "keep_tokens": 2,
        "keep_tokens_separator": "|||",
        "secondary_separator": None,
        "enable_wildcard": False,
        "caption_prefix": "photo of",
        "caption_suffix": None,
        "resize_interpolation": None,
        "image_dir": folder,
        "class_tokens": folder,
        "is_reg": False,
        **more,
    }


def of_datasets(*datasets: dict[str, Any]) -> dict[str, str]:
    """Metadata of a run with --dataset_config: keys of a single dataset are not there."""
    single = ("ss_batch", "ss_total", "ss_resolution", "ss_enable", "ss_min_b", "ss_max_b", "ss_flip", "ss_keep")
    rest = {key: text for key, text in KOHYA.items() if not key.startswith((*single, "ss_reg_dataset"))}
    return rest | {"ss_datasets": json.dumps(datasets)}


def test_a_dataset_config_is_read() -> None:
    settings, notes = found(
        of_datasets(dataset([768, 768], [subset("sage"), subset("reg", is_reg=True, num_repeats=2)]))
    )
    expected = {
        "training.batch_size": 4,
        "dataset.resolution": 768,
        "dataset.buckets": True,
        "dataset.bucket_min": 256,
        "dataset.bucket_max": 1536,
        "dataset.flip": True,
        "dataset.shuffle_tags": True,
        "dataset.keep_tokens": 2,
        "dataset.caption_prefix": "photo of",
        "dataset.repeats": 5,
        "dataset.trigger": "sage",
    }
    assert {key: settings.get(key) for key in expected} == expected
    assert "ss_keep_tokens_separator=|||: lorasweep has nothing like it" in notes
    assert "dataset.regularisation_repeats=2" in notes and "ss_datasets" not in notes


def test_what_a_dataset_config_says_of_classes_and_buckets_is_read() -> None:
    sizes = [(1024, 1024), (992, 1056), (1056, 992), (896, 1152)]
    info = {"buckets": {str(n): {"resolution": list(size), "count": 3} for n, size in enumerate(sizes)}}
    told = dataset([1024, 1024], [subset("img", class_tokens="sks dog")], bucket_info=info)
    settings, notes = found(of_datasets(told))
    assert settings["dataset.trigger"] == "sks dog" and settings["dataset.bucket_step"] == 32
    assert "the sides of the 4 buckets that were used fit 32" in notes


def test_steps_are_those_of_the_file_whatever_its_batch() -> None:
    """Epochs alone are only right with the batch that they were counted with."""
    told = {"ss_max_train_steps": "2030", "ss_num_batches_per_epoch": "203", "ss_num_epochs": "10"}
    settings, _ = found(of_datasets(dataset([1024, 1024], [subset("sage")])) | told)
    assert settings["training.epochs"] == 10 and settings["training.batch_size"] == 4
    assert "training.max_steps" not in settings
    damaged = of_datasets() | told | {"ss_datasets": "[{"}
    settings, notes = found(damaged)
    assert settings["training.max_steps"] == 2030 and "ss_datasets=[{ could not be read" in notes


def test_several_datasets_become_one_by_what_most_images_had() -> None:
    settings, notes = found(
        of_datasets(
            dataset([512, 512], [subset("sage", flip_aug=False)], batch_size_per_device=8),
            dataset([1024, 1024], [subset("sage", img_count=30), subset("mint", num_repeats=1)]),
        )
        | {"ss_max_train_steps": "2030", "ss_num_batches_per_epoch": "203", "ss_num_epochs": "10"}
    )
    assert settings["training.max_steps"] == 2030  # ten epochs of one of the datasets would be fewer
    assert (settings["dataset.resolution"], settings["training.batch_size"]) == (1024, 4)
    assert settings["dataset.flip"] is True and "dataset.repeats" not in settings
    assert "its datasets differ in resolution: (1024, 1024), (512, 512); here it is (1024, 1024)" in notes
    assert "differ in batch_size_per_device: 4, 8" in notes and "differ in flip_aug" in notes
    assert settings["sampling.prompts"] == ["sage", "mint"] and "dataset.trigger" not in settings


@pytest.mark.parametrize("text", ["3", "{}", "[3]", '[{"subsets": 3}]', '[{"subsets": [3]}]', "null", "[" * 9999])
def test_datasets_that_are_none(text: str) -> None:
    settings, notes = found(KOHYA | {"ss_datasets": text})
    assert settings["training.batch_size"] == 4
    assert ("could not be read" in notes) == (text != "{}")


def test_the_trigger_is_what_all_captions_of_a_folder_have() -> None:
    tags = {"30_food thing": {"close-up": 3, "my dish": 27, "plate": 27}}
    assert found(KOHYA | {"ss_tag_frequency": json.dumps(tags)})[0]["dataset.trigger"] == "my dish"
    tags["30_food thing"]["my dish"] = 26
    assert found(KOHYA | {"ss_tag_frequency": json.dumps(tags)})[0]["dataset.trigger"] == "plate"
    assert found(KOHYA | {"ss_tag_frequency": "[]"})[0]["dataset.trigger"] == "food thing"
    meta = {"ss_dataset_dirs": json.dumps({"meta_lat.json": {"n_repeats": 1, "img_count": 5}})}
    assert "dataset.trigger" not in found(KOHYA | meta)[0]


def test_recipes_without_a_trigger_have_prompts_without_it(tmp_path: Path) -> None:
    folders = {name: {"n_repeats": 1, "img_count": 5} for name in ("1_sage", "1_mint tea")}
    for told, prompts in (
        ({"ss_dataset_dirs": json.dumps(folders)}, ["sage", "mint tea"]),
        ({"ss_dataset_dirs": "{}"}, ["portrait of a person, standing, white background"]),
    ):
        recipe = composed(recipe_from_file(written(tmp_path, KOHYA | told)))
        assert list(recipe.sampling.prompts) == prompts and recipe.dataset.trigger == ""


@pytest.mark.parametrize("step", [32, 64, 128, 256])
def test_the_step_of_the_buckets_is_told_by_the_buckets(step: int) -> None:
    sizes = bucket_sizes(1024, 512, 2048, step)
    used = {
        nearest_ratio(size, sizes)
        for size in ((1000, 1000), (800, 1200), (1200, 800), (700, 1500), (1500, 700), (600, 1900))
    }
    info = {"buckets": {str(n): {"resolution": list(size), "count": 1} for n, size in enumerate(used)}}
    settings, notes = found(KOHYA | {"ss_bucket_info": json.dumps(info)})
    assert settings.get("dataset.bucket_step", 64) == step
    assert f"fit {step}" in notes


def test_the_step_of_the_buckets_is_named_where_it_is_not_told() -> None:
    assert "bucket_reso_steps, which no key holds: here it is 64" in found(KOHYA)[1]
    one = {"ss_bucket_info": json.dumps({"buckets": {"0": {"resolution": [1024, 1024], "count": 1}}})}
    settings, notes = found(KOHYA | one)
    assert "dataset.bucket_step" not in settings and "fit 64" in notes
    odd = {"ss_bucket_info": json.dumps({"buckets": {"0": {"resolution": [1001, 1047], "count": 1}}})}
    settings, notes = found(KOHYA | odd)
    assert "dataset.bucket_step" not in settings and "fit no step that is known here, which has 64" in notes


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("art/style", "art_style"),
        ("last (2)", "last _2"),
        ("../../etc/x", "etc_x"),
        ("日本", "Some_v3"),
        ("  ", "Some_v3"),
        ("x" * 300, "x" * 80),
        ("Sage v2.1", "Sage v2.1"),
    ],
)
def test_names_that_are_no_file_names(tmp_path: Path, given: str, name: str) -> None:
    recipe = recipe_from_file(written(tmp_path, KOHYA | {"ss_output_name": given}))
    assert composed(recipe).name == name
    assert ("as it becomes file names" in comments(recipe)) == (given != name)


def test_sizes_that_a_base_does_not_take(tmp_path: Path) -> None:
    for given, side in (("1000,1000", 1024), ("(768, 1344)", 1024), ("(512, 512)", 512), ("900", 896)):
        recipe = recipe_from_file(written(tmp_path, KOHYA | {"ss_resolution": given}))
        assert (f"dataset.resolution={side}" in recipe) == (side != 1024)
        assert ("its resolution was" in recipe) == (given != "(512, 512)")


@pytest.mark.parametrize(
    ("told", "left_out"),
    [
        ({"ss_prior_loss_weight": "0.5"}, "loss.prior_loss_weight=0.5 changes nothing"),
        ({"ss_keep_tokens": "2", "ss_shuffle_caption": "False"}, "dataset.keep_tokens=2 changes nothing"),
        ({"ss_caption_dropout_rate": "1.5"}, "dataset.caption_dropout=1.5: expected"),
        ({"ss_max_token_length": "300"}, "dataset.max_tokens=300: expected one of 75, 150, 225"),
        ({"ss_seed": "-1"}, "seed=-1: expected at least 0"),
        ({"ss_noise_offset": "nan"}, "loss.noise_offset=nan: expected"),
        ({"ss_loss_type": "l3"}, "loss.type=l3: expected one of"),
        ({"ss_loss_type": "huber", "ss_huber_scale": "2.0"}, "loss.huber_scale=2 changes nothing"),
        ({"ss_lr_scheduler": "inverse_sqrt", "ss_lr_warmup_steps": "-1"}, "scheduler.name=inverse_sqrt left out"),
    ],
)
def test_what_would_be_refused_is_left_out_and_named(tmp_path: Path, told: dict[str, str], left_out: str) -> None:
    recipe = recipe_from_file(written(tmp_path, KOHYA | told))
    assert left_out in comments(recipe) and " left out" in comments(recipe)
    result: Any = OmegaConf.to_object(composed(recipe))
    assert [problem for problem in check(result) if not problem.startswith(("dataset.path", "sampling.prompts"))] == []


def test_an_alpha_below_1_is_kept(tmp_path: Path) -> None:
    name = "lora_unet_middle_block_1_proj_in"
    tensors = TENSORS | {f"{name}.alpha": torch.tensor(0.5)}
    recipe = composed(recipe_from_file(written(tmp_path, {}, tensors)))
    assert recipe.network.alpha == 0.5
    result: Any = OmegaConf.to_object(recipe)
    assert isinstance(result, Config)
    assert not any("alpha" in problem for problem in check(result))


def test_huber_keys_beside_another_distance_are_not_taken() -> None:
    settings, _ = found(KOHYA | {"ss_loss_type": "l2", "ss_huber_schedule": "snr", "ss_huber_c": "0.5"})
    assert not any("huber" in key for key in settings)


def test_a_dropout_of_the_network_is_no_unknown_argument() -> None:
    told = {"ss_network_args": '{"dropout": 0.3, "conv_dim": "4"}', "ss_network_dropout": "None"}
    settings, notes = found(KOHYA | told)
    assert settings["network.dropout"] == 0.3 and "dropout" not in notes
    settings, _ = found(KOHYA | told | {"ss_network_dropout": "0.2"})
    assert settings["network.dropout"] == 0.2


def sdxl_file(rank_of: Any) -> dict[str, Tensor]:
    """A module of each family, as sd-scripts names them."""
    names = {
        "input_blocks_4_1_transformer_blocks_0_attn1_to_q": (640, 640),
        "input_blocks_4_1_transformer_blocks_0_ff_net_2": (2560, 640),
        "middle_block_1_proj_in": (1280, 1280),
        "input_blocks_1_0_in_layers_2": (320, 320),
        "input_blocks_3_0_op": (320, 320),
        "input_blocks_4_0_emb_layers_1": (1280, 640),
        "input_blocks_4_0_skip_connection": (320, 640),
    }
    tensors = {}
    for name, (inputs, outputs) in names.items():
        rank, alpha = rank_of(name)
        tensors[f"lora_unet_{name}.lora_down.weight"] = torch.zeros(rank, inputs)
        tensors[f"lora_unet_{name}.lora_up.weight"] = torch.zeros(outputs, rank)
        tensors[f"lora_unet_{name}.alpha"] = torch.tensor(float(alpha))
    return tensors


def test_conv_dim_is_for_kernels_alone() -> None:
    def rank_of(name: str) -> tuple[int, float]:
        return (4, 1) if name.endswith(("in_layers_2", "op")) else (16, 8)

    told = {"ss_network_args": '{"conv_dim": "4", "conv_alpha": "1"}', "ss_network_dim": "16", "ss_network_alpha": "8"}
    tensors = sdxl_file(rank_of)
    settings, notes = found(told, tensors)
    assert settings["network.ranks"] == [r"resnets.*\.conv[12]$|samplers:4/1"] and settings["network.convolutions"]
    assert "conv_dim" not in notes
    network = NetworkConfig(**{key[8:]: value for key, value in settings.items() if key.startswith("network.")})
    for layer, parts in read_layers(tensors, USUAL).tensors.items():
        size = layer_rank(network, layer)
        assert (size.rank, size.alpha) == (parts[".lora_down.weight"].shape[0], parts[".alpha"].item())


def test_a_resized_file_says_so() -> None:
    ranks = iter(range(1, 100))
    many = {f"lora_te1_text_model_encoder_layers_{n}_mlp_fc{m}" for n in range(12) for m in (1, 2)}
    many |= {f"lora_te2_text_model_encoder_layers_{n}_mlp_fc{m}" for n in range(32) for m in (1, 2)}
    tensors: dict[str, Tensor] = {}
    for name in many:
        rank = next(ranks)
        tensors |= {f"{name}.lora_down.weight": torch.zeros(rank, 8), f"{name}.lora_up.weight": torch.zeros(8, rank)}
    settings, notes = found({"ss_network_dim": "Dynamic"}, tensors)
    assert "88 different ranks and alphas, as resized files do" in notes and "network.ranks" not in settings


def test_files_of_other_programs_give_a_recipe(tmp_path: Path) -> None:
    layer = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    tensors = {f"unet.{layer}.lora_A.weight": torch.zeros(4, 640), f"unet.{layer}.lora_B.weight": torch.zeros(640, 4)}
    save_file(tensors, tmp_path / "sage.safetensors", {"lora_adapter_metadata": '{"unet.lora_alpha": 2}'})
    recipe = composed(recipe_from_file(tmp_path / "sage.safetensors"))
    assert (recipe.name, recipe.network.rank, recipe.network.alpha) == ("sage", 4, 2)
    assert recipe.network.attention and not recipe.network.feed_forward
    assert not any(recipe.compat.values())


@pytest.mark.parametrize(
    ("tensors", "metadata", "complaint"),
    [
        ({"lora_unet_middle_block_1_proj_in.oft_blocks": (2, 2)}, {}, "it is a LoRA, with neither"),
        ({"lora_unet_middle_block_1_proj_in.diff": (2, 2)}, {}, "it is a LoRA, with neither"),
        ({"first_stage_model.decoder.conv_in.weight": (2, 2)}, {}, "it is a VAE, with neither"),
        ({}, {}, "no model that is known here"),
        (
            {
                "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 768),
                "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": (320, 4),
            },
            {},
            "it adapts SD 1.5, by the width of its cross-attention",
        ),
        ({}, {"ss_base_model_version": "flux1"}, "it adapts a base of the kind flux1"),
    ],
)
def test_files_of_which_there_is_no_recipe(
    tmp_path: Path, tensors: dict[str, tuple[int, ...]], metadata: dict[str, str], complaint: str
) -> None:
    save_file(
        {name: torch.zeros(shape) for name, shape in tensors.items()}, tmp_path / "a.safetensors", metadata or None
    )
    with pytest.raises(UserError, match=complaint) as caught:
        recipe_from_file(tmp_path / "a.safetensors")
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("base", ["lorasweep_toy", "sdxl_base_v1-0"])
def test_files_of_the_toy_base_are_read_by_their_old_and_new_name(tmp_path: Path, base: str) -> None:
    recipe = recipe_from_file(written(tmp_path, KOHYA | {"ss_base_model_version": base, "ss_resolution": "(64, 64)"}))
    assert composed(recipe).network.rank == 16
    assert ("base_model=sdxl" in recipe) == (base != "lorasweep_toy")


def test_what_the_comments_advise_works(tmp_path: Path) -> None:
    advice = [
        ("dataset.holdout=0 objective=train/loss evaluation.select_by=last", {}),
        (
            "dataset.regularisation_path=FOLDER dataset.regularisation_repeats=2 loss.prior_loss_weight=0.5",
            {"ss_reg_dataset_dirs": '{"1_bear": {"n_repeats": 2, "img_count": 9}}', "ss_prior_loss_weight": "0.5"},
        ),
        ("base_model.quantization=int8", {"ss_fp8_base": "True"}),
    ]
    (tmp_path / "sage").mkdir()
    for line, told in advice:
        assert line in comments(recipe_from_file(written(tmp_path, KOHYA | told)))
        with composing(CONF):
            load_config(
                [
                    "lora=custom",
                    "name=Sage",
                    "dataset.trigger=x",
                    f"dataset.path={tmp_path / 'sage'}",
                    *line.replace("FOLDER", str(tmp_path)).split(),
                ]
            )
