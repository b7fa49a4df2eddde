"""What a file says about itself is what happened, in the spelling of sd-scripts and of modelspec 1.0.1."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lorasweep.export.metadata import Folder, TrainingFacts, hashes, metadata, without_secrets
from lorasweep.export.weights import read_weights, write_weights
from lorasweep.families.sdxl.identity import identity
from lorasweep.families.shipped import BASE_PATH
from lorasweep.schema import Config

TOY_UNET = json.loads((BASE_PATH / "unet" / "config.json").read_text())

FACTS = TrainingFacts(
    output_name="FuzzyBear_v6",
    session="1234",
    started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    finished=datetime(2026, 1, 2, 3, 34, 5, tzinfo=UTC),
    epoch=12,
    step=2400,
    epochs=20,
    total_steps=4000,
    warmup_steps=200,
    images=400,
    batches_per_epoch=200,
    mixed_precision="bf16",
    folders={"50_fuzzybear": Folder(repeats=50, images=8)},
    base_sha256="b" * 64,
    dataset_sha256="d" * 64,
    program_version="0.1.0",
    base=identity({"block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048}, "epsilon"),
    validation_images=1,
    tag_frequency={"50_fuzzybear": {"fuzzybear": 8, "waving": 2}},
    buckets={(1024, 1024): 350, (832, 1216): 50},
    mean_aspect_error=0.01,
    overrides=["lora=fuzzybear", "network.rank=8", "hydra.job.env_set.WANDB_API_KEY=abc", "+api_key=abc"],
)


def config() -> Config:
    config = Config(name="FuzzyBear", seed=7)
    config.dataset.trigger = "fortnite_fuzzy_bear_character"
    config.dataset.max_tokens = 150
    config.network.rank, config.network.alpha, config.network.convolutions = 8, 3, True
    config.optimizer.name, config.optimizer.lr, config.optimizer.text_encoder_lr = "adamw8bit", 1e-4, 5e-5
    config.loss.min_snr_gamma, config.loss.noise_offset = 5, 0.0357
    config.training.gradient_accumulation = 2
    return config


def test_kohyas_keys_have_true_values() -> None:
    found = metadata(config(), FACTS)
    expected = {
        "ss_output_name": "FuzzyBear_v6",
        "ss_session_id": "1234",
        "ss_training_started_at": "1767323045.0",
        "ss_training_finished_at": "1767324845.0",
        "ss_learning_rate": "0.0001",
        "ss_unet_lr": "0.0001",
        "ss_text_encoder_lr": "5e-05",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "8",
        "ss_network_alpha": "3",
        "ss_network_dropout": "None",
        "ss_network_args": '{"conv_dim": "8", "conv_alpha": "3"}',
        "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.01,betas=(0.9, 0.999),eps=1e-08)",
        "ss_lr_scheduler": "cosine",
        "ss_lr_warmup_steps": "200",
        "ss_epoch": "12",
        "ss_steps": "2400",
        "ss_num_epochs": "20",
        "ss_max_train_steps": "4000",
        "ss_num_train_images": "400",
        "ss_num_validation_images": "1",
        "ss_num_reg_images": "0",
        "ss_num_batches_per_epoch": "200",
        "ss_batch_size_per_device": "2",
        "ss_total_batch_size": "4",
        "ss_gradient_accumulation_steps": "2",
        "ss_mixed_precision": "bf16",
        "ss_seed": "7",
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_v2": "False",
        "ss_resolution": "(1024, 1024)",
        "ss_enable_bucket": "True",
        "ss_max_bucket_reso": "2048",
        "ss_max_token_length": "150",
        "ss_min_snr_gamma": "5",
        "ss_noise_offset": "0.0357",
        "ss_loss_type": "l2",
        "ss_huber_c": "None",
    }
    assert {key: found.get(key) for key in expected} == expected
    assert json.loads(found["ss_dataset_dirs"]) == {"50_fuzzybear": {"n_repeats": 50, "img_count": 8}}
    assert json.loads(found["ss_tag_frequency"]) == {"50_fuzzybear": {"fuzzybear": 8, "waving": 2}}
    assert json.loads(found["ss_bucket_info"]) == {
        "buckets": {
            "0": {"resolution": [832, 1216], "count": 50},
            "1": {"resolution": [1024, 1024], "count": 350},
        },
        "mean_img_ar_error": 0.01,
    }
    assert all(isinstance(value, str) for value in found.values())


def test_settings_that_take_another_form_there() -> None:
    settings = config()
    settings.optimizer.text_encoder_2_lr = 0.0
    settings.scheduler.name, settings.scheduler.warmup_ratio = "constant", 0.05
    settings.optimizer.name, settings.optimizer.beta1, settings.optimizer.eps = "adafactor", None, None
    settings.loss.type = "huber"
    found = metadata(settings, FACTS)
    assert found["ss_text_encoder_lr"] == "[5e-05, 0.0]"
    assert found["ss_lr_scheduler"] == "constant_with_warmup"
    assert found["ss_optimizer"] == (
        "transformers.optimization.Adafactor(weight_decay=0.01,eps=(1e-30, 0.001),beta1=None,"
        "scale_parameter=False,relative_step=False,warmup_init=False)"
    )
    assert (found["ss_huber_schedule"], found["ss_huber_c"]) == ("snr", "0.1")


def test_optimizers_and_schedules_have_their_names_there() -> None:
    settings = config()
    settings.scheduler.min_lr_ratio, settings.optimizer.lora_plus_ratio = 0.1, 16.0
    settings.optimizer.name, settings.optimizer.beta2, settings.optimizer.eps = "lion8bit", 0.99, None
    found = metadata(settings, FACTS)
    assert found["ss_lr_scheduler"] == "cosine_with_min_lr"
    assert found["ss_optimizer"] == "bitsandbytes.optim.lion.Lion8bit(weight_decay=0.01,betas=(0.9, 0.99))"
    assert json.loads(found["ss_network_args"])["loraplus_lr_ratio"] == "16.0"
    settings.optimizer.name, settings.optimizer.d_coef = "prodigy", 2.0
    settings.scheduler.name, settings.scheduler.power = "polynomial", 2.0
    found = metadata(settings, FACTS)
    assert found["ss_lr_scheduler"] == "polynomial"
    assert found["ss_optimizer"] == (
        "prodigyopt.prodigy.Prodigy(weight_decay=0.01,betas=(0.9, 0.99),eps=1e-08,d0=1e-06,d_coef=2.0,"
        "use_bias_correction=False,safeguard_warmup=False)"
    )


def test_what_nobody_knows_is_left_out() -> None:
    unknown = {"ss_sd_model_name", "ss_new_sd_model_hash", "ss_sd_model_hash"}
    assert not unknown & metadata(config(), FACTS).keys()
    known = replace(FACTS, base_name="sdxl.safetensors", base_file_sha256="e" * 64, base_file_legacy_hash="31e35c80")
    found = metadata(config(), known)
    assert found["ss_sd_model_name"] == "sdxl.safetensors"
    assert found["ss_new_sd_model_hash"] == "e" * 64
    assert found["ss_sd_model_hash"] == "31e35c80"


def test_modelspec(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {key: value for key, value in metadata(config(), FACTS).items() if key.startswith("modelspec.")}
    date = found.pop("modelspec.date")
    assert datetime.fromisoformat(date).tzinfo is None
    assert datetime.fromisoformat(date).astimezone(UTC) == FACTS.finished
    assert found == {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": "FuzzyBear_v6",
        "modelspec.resolution": "1024x1024",
        "modelspec.prediction_type": "epsilon",
        "modelspec.trigger_phrase": "fortnite_fuzzy_bear_character",
    }
    settings = config()
    settings.dataset.trigger = ""
    found = metadata(settings, replace(FACTS, base=replace(FACTS.base, prediction_type="v")))
    assert found["modelspec.prediction_type"] == "v"
    assert "modelspec.trigger_phrase" not in found


def test_files_of_the_toy_base_do_not_pass_for_sdxl() -> None:
    found = metadata(config(), replace(FACTS, base=identity(TOY_UNET, "epsilon")))
    assert found["ss_base_model_version"] == "lorasweep_toy"
    assert found["modelspec.architecture"] == "lorasweep-toy/lora"
    assert "modelspec.implementation" not in found
    told = " ".join(value for key, value in found.items() if not key.startswith("lorasweep.")).lower()
    assert not any(name in told for name in ("sdxl", "stable-diffusion", "generative-models"))
    assert FACTS.base.base_version == "sdxl_base_v1-0"


def test_our_own_keys_hold_no_secrets() -> None:
    found = metadata(config(), FACTS)
    resolved = json.loads(found["lorasweep.config"])
    assert resolved["network"]["alpha"] == 3
    assert resolved["dataset"]["max_tokens"] == 150  # a token count is no token
    assert json.loads(found["lorasweep.overrides"]) == ["lora=fuzzybear", "network.rank=8"]
    assert found["lorasweep.dataset_sha256"] == "d" * 64
    assert found["lorasweep.base_sha256"] == "b" * 64
    assert found["lorasweep.version"] == "0.1.0"
    secrets = {
        "api_key": 1,
        "HF_TOKEN": 2,
        "wandb": {"password": 3, "mode": "x"},
        "list": [{"client_secret": 4}],
    }
    kept = {"keep_tokens": 1, "keyboard": 2}
    assert without_secrets(secrets | kept) == {"wandb": {"mode": "x"}, "list": [{}], **kept}


def test_hashes_are_those_of_the_file_with_kohyas_keys_alone(tmp_path: Path) -> None:
    draws = torch.Generator().manual_seed(0)
    tensors = {
        "a": torch.randn(1200, 500, generator=draws, dtype=torch.float16),
        "b": torch.zeros((), dtype=torch.half),
    }
    write_weights(tmp_path / "full.safetensors", tensors, {"ss_seed": "1", "lorasweep.config": "{}"})
    found = read_weights(tmp_path / "full.safetensors")[1]
    save_file(tensors, tmp_path / "plain.safetensors", {"ss_seed": "1"})
    content = (tmp_path / "plain.safetensors").read_bytes()
    assert len(content) > 0x110000
    assert found["sshs_legacy_hash"] == hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8]
    header = int.from_bytes(content[:8], "little")
    assert found["sshs_model_hash"] == hashlib.sha256(content[8 + header :]).hexdigest()
    assert found["modelspec.hash_sha256"] == "0x" + found["sshs_model_hash"]


def test_the_model_hash_does_not_follow_the_metadata() -> None:
    tensors = {"a": torch.ones(3)}
    bytes_of_ones = bytes.fromhex("0000803f" * 3)
    for ours in ({}, {"ss_seed": "1"}, {"modelspec.title": "x"}):
        assert hashes(tensors, ours)["sshs_model_hash"] == hashlib.sha256(bytes_of_ones).hexdigest()


def test_the_noise_and_the_weighting_in_kohyas_keys() -> None:
    settings = config()
    found = metadata(settings, FACTS)
    off = {
        "ss_noise_offset_random_strength": "False",
        "ss_adaptive_noise_scale": "None",
        "ss_multires_noise_iterations": "None",
        "ss_ip_noise_gamma": "None",
        "ss_ip_noise_gamma_random_strength": "False",
        "ss_debiased_estimation": "False",
        "ss_zero_terminal_snr": "False",
    }
    assert {key: found[key] for key in off} == off
    loss = settings.loss
    loss.type, loss.min_snr_gamma, loss.debiased = "l1", None, True
    loss.noise_offset_random, loss.adaptive_noise_scale = True, 0.01
    loss.multires_iterations, loss.multires_discount = 6, 0.4
    loss.input_perturbation, loss.input_perturbation_random = 0.1, True
    settings.base_model.prediction_type, settings.base_model.zero_terminal_snr = "v_prediction", True
    found = metadata(settings, FACTS)
    on = {
        "ss_loss_type": "l1",
        "ss_huber_c": "None",
        "ss_noise_offset_random_strength": "True",
        "ss_adaptive_noise_scale": "0.01",
        "ss_multires_noise_iterations": "6",
        "ss_multires_noise_discount": "0.4",
        "ss_ip_noise_gamma": "0.1",
        "ss_ip_noise_gamma_random_strength": "True",
        "ss_debiased_estimation": "True",
        "ss_zero_terminal_snr": "True",
    }
    assert {key: found[key] for key in on} == on
