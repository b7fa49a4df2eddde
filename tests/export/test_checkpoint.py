"""Whole checkpoints: what is written is what diffusers' own loaders read, and half of one is never left behind."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline
from safetensors import safe_open
from safetensors.torch import load_file

from lorasweep import files
from lorasweep.adapters.lora import LoraAdapter
from lorasweep.errors import UserError
from lorasweep.export.checkpoint import write_checkpoint
from lorasweep.families.load import load_base
from lorasweep.families.sdxl.checkpoint import sgm_tensors
from lorasweep.families.sdxl.layout import marks_of
from lorasweep.families.sdxl.model import SDXL
from lorasweep.families.sdxl.problems import base_problems
from lorasweep.families.sdxl.sgm import open_clip_name, unet_name, vae_name
from lorasweep.schema import BaseModelConfig, NetworkConfig

from ..adapters.tiny_sdxl import full_size_base
from ..families.small_sdxl import same_weights, small_sdxl


@pytest.fixture(scope="module")
def small(toy_base: SDXL) -> SDXL:
    return small_sdxl(toy_base)


def tensors_of(base: SDXL, **settings: object) -> dict[str, torch.Tensor]:
    return sgm_tensors(base.unet, base.vae, base.text_encoders, **settings)  # type: ignore[arg-type]


def as_base(pipeline: StableDiffusionXLPipeline) -> SimpleNamespace:
    parts = ("unet", "text_encoder", "text_encoder_2", "vae")
    return SimpleNamespace(modules={part: getattr(pipeline, part) for part in parts})


def test_diffusers_reads_the_file_as_it_was_written(small: SDXL, tmp_path: Path) -> None:
    small.write_folder(tmp_path / "folder")
    write_checkpoint(tmp_path / "small.safetensors", tensors_of(small), {"modelspec.title": "small"})
    options = {"config": str(tmp_path / "folder"), "torch_dtype": torch.float32, "local_files_only": True}
    read = as_base(StableDiffusionXLPipeline.from_single_file(str(tmp_path / "small.safetensors"), **options))
    assert same_weights(small, read)  # type: ignore[arg-type]
    with safe_open(tmp_path / "small.safetensors", "pt") as file:
        assert file.metadata()["modelspec.title"] == "small"


def test_diffusers_reads_the_folder_as_it_was_written(small: SDXL, tmp_path: Path) -> None:
    small.write_folder(tmp_path / "small")
    pipeline = StableDiffusionXLPipeline.from_pretrained(tmp_path / "small", dtype=torch.float32)
    assert same_weights(small, as_base(pipeline))  # type: ignore[arg-type]
    assert list(base_problems(str(tmp_path / "small"))) == []
    assert not [path for path in tmp_path.rglob("*") if ".tmp" in path.name]
    captions = ["humanoid, red skin, wizard hat", ""]
    for ours, theirs in zip(small.tokenizers, (pipeline.tokenizer, pipeline.tokenizer_2), strict=True):
        assert ours(captions)["input_ids"] == theirs(captions)["input_ids"]
        assert ours.pad_token_id == theirs.pad_token_id
    assert pipeline.scheduler.config.beta_schedule == small.scheduler.config.beta_schedule
    for config in tmp_path.rglob("*config.json"):
        assert "_name_or_path" not in config.read_text()
    names = set(load_file(tmp_path / "small" / "text_encoder" / "model.safetensors"))
    assert all(name.startswith("text_model.") for name in names)  # what transformers before 5.6 knows


def test_the_toy_comes_back_and_draws_the_same(toy_base: SDXL, tmp_path: Path) -> None:
    toy_base.write_folder(tmp_path / "toy")
    read = load_base(BaseModelConfig(path=str(tmp_path / "toy")), "cpu", torch.float32)
    assert same_weights(toy_base, read)
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    [one], [other] = (
        base.sample(["humanoid"], negative_prompt="", latents=noise, steps=2, guidance=3.0, max_tokens=75)
        for base in (toy_base, read)
    )
    assert one.tobytes() == other.tobytes()


def test_names_and_shapes_that_image_generators_look_for(small: SDXL) -> None:
    tensors = tensors_of(small)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    te1, te2 = "conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."
    shapes = {
        "model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3),
        "model.diffusion_model.label_emb.0.0.weight": (32, 24),
        "model.diffusion_model.time_embed.2.bias": (32,),
        "model.diffusion_model.output_blocks.2.2.conv.weight": (16, 16, 3, 3),
        "model.diffusion_model.middle_block.1.transformer_blocks.1.ff.net.0.proj.weight": (128, 16),
        "model.diffusion_model.out.2.weight": (4, 8, 3, 3),
        "first_stage_model.decoder.mid.attn_1.q.weight": (8, 8, 1, 1),
        "first_stage_model.decoder.mid.attn_1.norm.weight": (8,),
        "first_stage_model.decoder.up.0.block.0.nin_shortcut.weight": (4, 8, 1, 1),
        "first_stage_model.encoder.down.1.downsample.conv.weight": (8, 8, 3, 3),
        "first_stage_model.quant_conv.weight": (8, 8, 1, 1),
        f"{te1}encoder.layers.1.self_attn.q_proj.weight": (8, 8),
        f"{te2}transformer.resblocks.2.attn.in_proj_weight": (48, 16),
        f"{te2}transformer.resblocks.2.attn.in_proj_bias": (48,),
        f"{te2}transformer.resblocks.0.mlp.c_fc.weight": (32, 16),
        f"{te2}positional_embedding": (77, 16),
        f"{te2}ln_final.weight": (16,),
        f"{te2}text_projection": (16, 12),
    }
    assert {name: tuple(tensors[name].shape) for name in shapes} == shapes
    count = sum(parameter.numel() for module in small.modules.values() for parameter in module.parameters())
    assert sum(tensor.numel() for tensor in tensors.values()) == count, "every number is written, and once"


def test_full_size_names() -> None:
    modules = full_size_base().modules
    from lorasweep.families.sdxl.names import UNetLayout

    layout = UNetLayout.of(modules["unet"].config)
    names = {unet_name(name, layout) for name in modules["unet"].state_dict()}
    assert len(names) == 1680
    blocks = {tuple(name.split(".")[:2]) for name in names if "blocks" in name.split(".")[0]}
    assert blocks == {(side, str(i)) for side in ("input_blocks", "output_blocks") for i in range(9)}
    open_clip = {open_clip_name(name.removeprefix("text_model.")) for name in modules["text_encoder_2"].state_dict()}
    assert "transformer.resblocks.31.mlp.c_proj.weight" in open_clip and "token_embedding.weight" in open_clip
    with torch.device("meta"):
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        )
    original = {vae_name(name, 4) for name in vae.state_dict()}
    assert len(original) == 248
    assert {"decoder.up.3.upsample.conv.weight", "decoder.up.0.block.2.conv2.bias"} <= original
    assert "decoder.up.0.upsample.conv.weight" not in original and "encoder.down.3.downsample.conv.bias" not in original


def test_parts_in_any_precision_are_written_and_stay_as_they_are(small: SDXL, tmp_path: Path) -> None:
    mixed = copy.deepcopy(small)
    mixed.unet.to(torch.bfloat16)
    mixed.write_folder(tmp_path / "mixed")
    assert mixed.unet.dtype == torch.bfloat16 and mixed.vae.dtype == torch.float32
    tensors = tensors_of(mixed)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    rounded = small.unet.conv_in.weight.bfloat16().half()
    assert torch.equal(tensors["model.diffusion_model.input_blocks.0.0.weight"], rounded)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 70_000.0])
def test_values_that_are_not_finite_are_never_written(small: SDXL, tmp_path: Path, value: float) -> None:
    broken = copy.deepcopy(small)
    broken.unet.conv_in.weight.data[0, 0, 0, 0] = value  # 70,000 is infinite in fp16
    with pytest.raises(UserError, match=r"- 1 of .*input_blocks\.0\.0\.weight.*diverged"):
        write_checkpoint(tmp_path / "broken.safetensors", tensors_of(broken), {})
    with pytest.raises(UserError, match=r"- 1 of .*conv_in\.weight.*diverged"):
        broken.write_folder(tmp_path / "broken")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_finished_leaves_the_earlier_one(
    small: SDXL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "base"
    small.write_folder(folder)
    before = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    other = copy.deepcopy(small)
    other.unet.conv_in.weight.data.add_(1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", full)
        with pytest.raises(OSError, match="No space"):
            other.write_folder(folder)
    assert list(tmp_path.iterdir()) == [folder]
    assert torch.equal(
        before["conv_in.weight"], load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")["conv_in.weight"]
    )
    other.write_folder(folder)
    assert not torch.equal(
        before["conv_in.weight"], load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")["conv_in.weight"]
    )
    assert list(tmp_path.iterdir()) == [folder]


def test_a_base_with_an_adapter_on_it_is_not_written(small: SDXL) -> None:
    base = copy.deepcopy(small)
    adapter = LoraAdapter(base, NetworkConfig(rank=2, alpha=1), components=("unet",), seed=0, name="v1")
    with pytest.raises(ValueError, match="belongs to an adapter"):
        tensors_of(base)
    adapter.remove()
    assert tensors_of(base).keys() == tensors_of(small).keys()


def test_what_the_unet_predicts_is_marked_as_comfyui_reads_it(small: SDXL, tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    write_checkpoint(path, tensors_of(small), {})
    assert marks_of(str(path)) == set()
    write_checkpoint(path, tensors_of(small, prediction_type="v_prediction", zero_terminal_snr=True), {})
    assert marks_of(str(path)) == {"v_pred", "ztsnr"}
    assert json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])["v_pred"][
        "shape"
    ] == [0]
