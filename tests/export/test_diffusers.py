"""diffusers loads the file, and what it then computes is what the trained adapter computes."""

from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from torch.nn import Module

from lorasweep.adapters.lora import LoraAdapter
from lorasweep.config import NetworkConfig
from lorasweep.export.weights import export_tensors, import_tensors, write_weights

from ..adapters.tiny_sdxl import randomise, text_output, tiny_base, unet_output

ALL = ("unet", "text_encoder", "text_encoder_2")
NETWORK = NetworkConfig(rank=4, alpha=1.5, convolutions=True)


def outputs(modules: dict[str, Module]) -> list[torch.Tensor]:
    with torch.no_grad():
        return [unet_output(modules["unet"]), *(text_output(modules[name]) for name in ALL[1:])]


def test_diffusers_computes_what_the_trained_adapter_computes(tmp_path: Path) -> None:
    base, fresh = tiny_base(), tiny_base()
    bare = outputs(base.modules)
    adapter = LoraAdapter(base, NETWORK, components=ALL, seed=0, name="v1")
    randomise(adapter, scale=0.2)
    trained = outputs(base.modules)
    tensors = export_tensors(adapter.state(), NETWORK, base.modules["unet"].config)
    write_weights(tmp_path / "Bear_v6.safetensors", tensors, {"ss_network_dim": "4"})
    adapter.load(import_tensors(tensors, NETWORK, base.modules["unet"].config))
    rounded = outputs(base.modules)

    pipeline = StableDiffusionXLPipeline(
        vae=None, tokenizer=None, tokenizer_2=None, scheduler=None, **fresh.modules, add_watermarker=False
    )
    pipeline.load_lora_weights(tmp_path, weight_name="Bear_v6.safetensors")
    loaded = outputs(fresh.modules)
    for was, wanted, exact, got in zip(bare, trained, rounded, loaded, strict=True):
        change = (wanted - was).abs().mean()
        assert change > 0.05 * was.abs().mean()
        torch.testing.assert_close(got, exact, rtol=1e-4, atol=1e-5)
        assert (got - wanted).abs().mean() < 0.01 * change  # fp16 in the file, fp32 in training
