"""Weights files as sd-scripts, its GUI and its users leave them: any settings that it takes, and damaged ones."""

from __future__ import annotations

import json
import random
from typing import Any

import torch
from torch import Tensor

OPTIMIZERS = [
    ("torch.optim.adamw.AdamW", ["weight_decay=0.1,betas=(0.9, 0.99)", "fused=True", ""], 1e-4),
    ("bitsandbytes.optim.adamw.AdamW8bit", ["weight_decay=0.1,betas=[0.9, 0.99]", "betas=(0.9,)", ""], 1e-3),
    ("bitsandbytes.optim.adamw.PagedAdamW8bit", [""], 2e-5),
    ("bitsandbytes.optim.ademamix.AdEMAMix8bit", ["betas=(0.9, 0.999, 0.9999)"], 1e-4),
    ("lion_pytorch.lion_pytorch.Lion", ["weight_decay=0.01,betas=(0.95, 0.98)", ""], 3e-5),
    ("bitsandbytes.optim.lion.Lion8bit", [""], 3e-5),
    ("torch.optim.sgd.SGD", ["momentum=0.9"], 0.1),
    (
        "transformers.optimization.Adafactor",
        ["relative_step=True", "scale_parameter=False,relative_step=False,warmup_init=False", ""],
        1.0,
    ),
    ("prodigyopt.prodigy.Prodigy", ["decouple=True,weight_decay=0.45,d_coef=2,use_bias_correction=True", ""], 1.0),
    ("prodigyopt.prodigy.Prodigy", ["d0=1e-05", ""], 1e-4),
    ("dadaptation.dadapt_adam.DAdaptAdam", ["decouple=True,weight_decay=0.2,betas=(0.9, 0.99),growth_rate=1.02"], 1.0),
    ("dadaptation.dadapt_lion.DAdaptLion", [""], 1.0),
    ("prodigyplus.prodigy_plus_schedulefree.ProdigyPlusScheduleFree", ["split_groups=True"], 1.0),
    ("schedulefree.adamw_schedulefree.AdamWScheduleFree", ["warmup_steps=100,weight_decay=0.01", ""], 2e-4),
    ("schedulefree.radam_schedulefree.RAdamScheduleFree", [""], 2e-4),
    ("pytorch_optimizer.optimizer.came.CAME", ["betas=(0.9, 0.999, 0.9999)"], 1e-4),
    ("some.where.Sophia", ["rho=2,f=lambda x: x"], 5.0),
]
SCHEDULERS = (
    *("constant", "constant_with_warmup", "cosine", "cosine_with_restarts", "cosine_with_min_lr", "linear"),
    *("polynomial", "inverse_sqrt", "warmup_stable_decay", "piecewise_constant", "adafactor:1.0", "cosine_annealing"),
)
ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"conv_dim": "4", "conv_alpha": "1"},
    {"algo": "loha", "use_tucker": "True", "dropout": "0.3"},
    {"algo": "lokr", "factor": "6", "decompose_both": "True", "rank_dropout": "0.1", "module_dropout": "0.1"},
    {"algo": "lokr", "factor": "0", "use_cp": "True", "dora_wd": "True", "bypass_mode": "False", "unit": "1"},
    {"rs_lora": "True", "loraplus_lr_ratio": "16", "loraplus_text_encoder_lr_ratio": "4"},
    {"loraplus_unet_lr_ratio": "8", "rank_dropout": "1.5", "train_norm": "True", "block_dims": "2,4,8"},
]
FOLDERS: list[dict[str, dict[str, int]]] = [
    {"30_food thing": {"n_repeats": 30, "img_count": 27}},
    {"10_sage": {"n_repeats": 10, "img_count": 8}, "4_mint": {"n_repeats": 4, "img_count": 20}},
    {"sage (1)": {"n_repeats": 3, "img_count": 2}, "mint/green": {"n_repeats": 1, "img_count": 9}},
    {"meta_lat.json": {"n_repeats": 1, "img_count": 500}},
    {"1_": {"n_repeats": 1, "img_count": 1}},
    {},
]
NAMES = (
    "Food_v2",
    "art/style",
    "last (2)",
    "../../etc/x",
    "日本",
    "a=b,c",
    "  ",
    "-",
    "x" * 300,
    "${oc.env:HOME}",
    "é",
)
LAYERS = {
    "unet": ["input_blocks_4_1_transformer_blocks_0_attn2_to_k", "middle_block_1_proj_in", "input_blocks_4_1_proj_out"],
    "conv": ["input_blocks_1_0_in_layers_2", "output_blocks_0_0_emb_layers_1", "output_blocks_2_2_conv"],
    "te1": ["text_model_encoder_layers_0_mlp_fc1"],
    "te2": ["text_model_encoder_layers_3_self_attn_q_proj"],
}
JUNK = (
    "",
    "None",
    "many",
    "nan",
    "inf",
    "-1",
    "1e999",
    "[",
    "{",
    "null",
    "[1, [2",
    "(1, 2, 3)",
    "True",
    "0",
    "\u2028x: y",
)
SPARED = ("ss_base_model_version",)  # another says that the file is for another family


def metadata(choices: random.Random) -> dict[str, str]:
    """Return what a file says of itself."""
    pick, chance = choices.choice, choices.random
    name, arguments, rate = pick(OPTIMIZERS)
    steps = pick([160, 320, 1600, 4050])
    found: dict[str, Any] = {
        "ss_output_name": pick(NAMES),
        "ss_seed": pick([42, 1234567890, None]),
        "ss_network_module": pick(["networks.lora", "lycoris.kohya", "networks.lora_fa", "networks.dylora"]),
        "ss_network_dim": pick([8, 32, 100000, "Dynamic"]),
        "ss_network_alpha": pick([0.5, 1, 16.0, 1e-9]),
        "ss_network_dropout": pick([None, 0.3]),
        "ss_network_args": json.dumps(pick(ARGUMENTS)),
        "ss_scale_weight_norms": pick([None, 1.0, 0]),
        "ss_learning_rate": pick([rate, None]),
        "ss_unet_lr": pick([rate, None, 0.0]),
        "ss_text_encoder_lr": pick([rate, [rate, rate / 2], [0.0, 0.0], None, []]),
        "ss_optimizer": f"{name}({pick(arguments)})",
        "ss_lr_scheduler": pick(SCHEDULERS),
        "ss_lr_warmup_steps": pick([0, 0.1, 0.05, "10%", 100, 5000, None]),
        "ss_num_epochs": pick([1, 20]),
        "ss_max_train_steps": steps,
        "ss_num_batches_per_epoch": pick([steps, steps // 20, 203]),
        "ss_gradient_accumulation_steps": pick([1, 1.0, 4]),
        "ss_batch_size_per_device": pick([1, 4]),
        "ss_total_batch_size": pick([1, 4, 24]),
        "ss_gradient_checkpointing": pick([True, False]),
        "ss_max_grad_norm": pick([0.0, 1.0]),
        "ss_mixed_precision": pick(["no", "fp16", "bf16"]),
        "ss_resolution": pick(["(1024, 1024)", "1000,1000", "768,1344", "(512, 512)", "1024", None]),
        "ss_enable_bucket": pick([True, False]),
        "ss_bucket_no_upscale": pick([True, False]),
        "ss_min_bucket_reso": pick([256, 64, 512, 1024, None]),
        "ss_max_bucket_reso": pick([2048, 1024, None]),
        "ss_bucket_info": json.dumps({"buckets": {"0": {"resolution": [pick([832, 800, 1000]), 1216], "count": 3}}}),
        "ss_flip_aug": pick([True, False]),
        "ss_color_aug": pick([True, False]),
        "ss_shuffle_caption": pick([True, False]),
        "ss_keep_tokens": pick([0, 1, 2]),
        "ss_max_token_length": pick([None, 75, 150, 225, 300]),
        "ss_caption_dropout_rate": pick([0.0, 0.05, 1.5]),
        "ss_caption_dropout_every_n_epochs": pick([0, 2]),
        "ss_caption_tag_dropout_rate": pick([0.0, 0.1]),
        "ss_clip_skip": pick([None, 2]),
        "ss_prior_loss_weight": pick([1.0, 0.5]),
        "ss_min_snr_gamma": pick([None, 0, 5.0]),
        "ss_debiased_estimation": pick([True, False]),
        "ss_noise_offset": pick([None, 0.0357]),
        "ss_adaptive_noise_scale": pick([None, 0.00357]),
        "ss_noise_offset_random_strength": pick([True, False]),
        "ss_multires_noise_iterations": pick([None, 0, 8]),
        "ss_multires_noise_discount": pick([0.2, 0.3]),
        "ss_ip_noise_gamma": pick([None, 0.1]),
        "ss_loss_type": pick(["l2", "l1", "huber", "smooth_l1"]),
        "ss_huber_schedule": pick(["snr", "constant", "exponential", None]),
        "ss_huber_c": pick([0.1, 0.5, None]),
        "ss_huber_scale": pick([1.0, 2.0, None]),
        "ss_zero_terminal_snr": pick([True, False]),
        "ss_validation_split": pick([0.0, 0.1]),
        "ss_fp8_base": pick([True, False]),
        "ss_cache_latents": pick([True, False]),
        "ss_dataset_dirs": json.dumps(pick(FOLDERS)),
        "ss_reg_dataset_dirs": pick(["{}", json.dumps({"1_bear": {"n_repeats": 1, "img_count": 100}})]),
        "ss_tag_frequency": pick(["{}", json.dumps({"10_sage": {"sage": 8, "red hat": 2}})]),
        "ss_base_model_version": "sdxl_base_v1-0",
        "modelspec.prediction_type": pick(["epsilon", "v"]),
        "modelspec.timestep_range": pick([None, "0,1000", "200,800", "500,100"]),
        "modelspec.trigger_phrase": pick([None, "", "sage woman"]),
    }
    texts = {key: str(value) for key, value in found.items() if value is not None or chance() < 0.5}
    if chance() < 0.3:
        texts = {key: text for key, text in texts.items() if chance() < 0.5 or key in SPARED}
    if chance() < 0.5:
        texts |= {key: pick(JUNK) for key in texts if chance() < 0.1 and key not in SPARED}
    return texts


def tensors(choices: random.Random) -> dict[str, Tensor]:
    """Return layers of some parts of SDXL, of one kind of adapter or two."""
    parts = choices.choice([("unet",), ("unet", "te1", "te2"), ("unet", "conv"), ("te1",), ("unet", "te2", "conv")])
    names = [f"lora_{part if part != 'conv' else 'unet'}_{name}" for part in parts for name in LAYERS[part]]
    found: dict[str, Tensor] = {}
    for name in names:
        rank = choices.choice([8, 8, 8, 4])
        kind = choices.choice(["lora", "lora", "loha", "lokr"]) if choices.random() < 0.3 else "lora"
        ends: dict[str, Tensor] = {
            "lora": {"lora_down.weight": torch.zeros(rank, 2048), "lora_up.weight": torch.zeros(4, rank)},
            "loha": {f"hada_w{n}_{side}": torch.zeros(rank, rank) for n in (1, 2) for side in "ab"},
            "lokr": {"lokr_w1": torch.zeros(2, 2), "lokr_w2": torch.zeros(4, 4)},
        }[kind]
        found |= {f"{name}.{end}": tensor for end, tensor in ends.items()}
        if choices.random() < 0.9:
            found[f"{name}.alpha"] = torch.tensor(choices.choice([3.0, 0.5]))
    return found
