"""Names of kohya's sd-scripts for what is no single key here with the same values, and what to do instead.

The names that are (`network_dim` is `network.rank`) stand at the keys: `option(..., kohya=...)`.
docs/coming-from-kohya.md has them all, with the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping

_ALWAYS_CACHED = "latents and frozen text encoders' outputs are always cached (dataset.cache=FOLDER says where)"
_ATTENTION = "PyTorch's own attention is always used; leave it out"
_NO_WORKERS = "batches are read from the cache, without workers; leave it out"
_NOT_YET = "there is nothing like it yet; leave it out"

INSTEAD: Mapping[str, str] = {
    "block_dims": "network.ranks gives layers ranks of their own, by the patterns of their names",
    "cache_latents": f"{_ALWAYS_CACHED}; leave it out",
    "cache_latents_to_disk": f"{_ALWAYS_CACHED}; leave it out",
    "cache_text_encoder_outputs": f"{_ALWAYS_CACHED}; leave it out",
    "cache_text_encoder_outputs_to_disk": f"{_ALWAYS_CACHED}; leave it out",
    "caption_dropout_every_n_epochs": _NOT_YET,
    "clip_skip": "SDXL always takes the last layer but one of both text encoders; leave it out",
    "color_aug": _NOT_YET,
    "config_file": "its settings are given as key=value, or as a recipe of your own in conf/lora/",
    "conv_alpha": "network=convolutions, and network.ranks=['resnets|samplers:4/1'] for rank 4 and alpha 1",
    "conv_dim": "network=convolutions, and network.ranks=['resnets|samplers:4/1'] for rank 4 and alpha 1",
    "dataset_config": "its folder is dataset.path=FOLDER, its other settings are keys of dataset",
    "diff_output_preservation": "loss=preservation, with loss.preservation_class=WORD",
    "dynamo_backend": "training.compile=true compiles the UNet's blocks",
    "face_crop_aug_range": _NOT_YET,
    "fp8_base": "base_model.quantization=int8, or nf4",
    "full_bf16": "training.mixed_precision=bf16",
    "full_fp16": "training.mixed_precision=fp16",
    "fused_backward_pass": _NOT_YET,
    "keep_tokens_separator": f"{_NOT_YET}; dataset.keep_tokens counts tags",
    "log_with": "tracker=default (TensorBoard and W&B), local (TensorBoard), offline or none",
    "logging_dir": "every version's folder has a tensorboard/ of its own; output_root=FOLDER moves them all",
    "lowram": "what is idle leaves the GPU by itself (training.offload_idle); preset=low_vram saves more",
    "lr_decay_steps": "scheduler.decay_ratio, a share of all steps",
    "masked_loss": "dataset.mask_path=FOLDER, or dataset.alpha_mask=true",
    "max_data_loader_n_workers": _NO_WORKERS,
    "mem_eff_attn": _ATTENTION,
    "network_args": "each argument has a key of its own under network",
    "network_train_text_encoder_only": "optimizer.lr=0 freezes the UNet",
    "network_train_unet_only": "optimizer.text_encoder_lr=0 freezes the text encoders",
    "no_half_vae": "the VAE always works in 32 bit; leave it out",
    "optimizer_args": "each argument has a key of its own under optimizer, such as optimizer.weight_decay",
    "persistent_data_loader_workers": _NO_WORKERS,
    "random_crop": _NOT_YET,
    "sample_at_first": "samples are always drawn before training too; leave it out",
    "sample_every_n_steps": "sampling.every_epochs=1, in epochs",
    "save_model_as": "files are always safetensors; leave it out",
    "save_precision": "files are always written in fp16; leave it out",
    "save_state": "states are saved at every epoch, and every training.state_every_steps=500 steps",
    "sdpa": _ATTENTION,
    "token_warmup_step": _NOT_YET,
    "v_parameterization": "base_model.prediction_type=v_prediction",
    "vae_batch_size": "images are encoded one by one, once, into the cache; leave it out",
    "wandb_run_name": "a W&B run is called what the version is, such as Sage v1; name=Sage changes both",
    "wd_on_output": "network=dora learns the lengths of input columns, which is what ComfyUI computes; leave it out",
    "weighted_captions": _NOT_YET,
    "xformers": _ATTENTION,
}
