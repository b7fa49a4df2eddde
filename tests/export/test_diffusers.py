"""diffusers loads the file, and what it then computes is what the trained adapter computes."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from torch.nn import Module

from lorasweep.adapters.adapter import build_adapter
from lorasweep.adapters.lora import LoraAdapter
from lorasweep.export.weights import export_tensors, write_weights
from lorasweep.schema import NetworkConfig

from ..adapters.tiny_sdxl import randomise, text_output, tiny_base, unet_output
from .reading import state_in

ALL = ("unet", "text_encoder", "text_encoder_2")
NETWORK = NetworkConfig(rank=4, alpha=1.5, convolutions=True)
# Layers that get alphas of their own, which diffusers looks up under names that they do not have.
RANKS = {
    "one": [],
    "some attention": ["attn2:4/1"],
    "everywhere": ["resnets:2/1", "proj_(in|out):6/1", "to_out:8/16", "attn1|q_proj:2/0.5", "mlp:1/2"],
}


def outputs(modules: dict[str, Module]) -> list[torch.Tensor]:
    with torch.no_grad():
        return [unet_output(modules["unet"]), *(text_output(modules[name]) for name in ALL[1:])]


def pipeline_of(base: SimpleNamespace) -> StableDiffusionXLPipeline:
    parts = dict.fromkeys(("vae", "tokenizer", "tokenizer_2", "scheduler"))
    return StableDiffusionXLPipeline(**parts, **base.modules, add_watermarker=False)


@pytest.mark.parametrize("ranks", RANKS.values(), ids=RANKS)
def test_diffusers_computes_what_the_trained_adapter_computes(tmp_path: Path, ranks: list[str]) -> None:
    network = replace(NETWORK, ranks=ranks)
    base, fresh = tiny_base(), tiny_base()
    bare = outputs(base.modules)
    adapter = LoraAdapter(base, network, components=ALL, seed=0, name="v1")
    randomise(adapter, scale=0.2)
    trained = outputs(base.modules)
    tensors = export_tensors(adapter.state(), network, base.naming)
    write_weights(tmp_path / "Bear_v6.safetensors", tensors, {"ss_network_dim": "4"})
    adapter.load(state_in(tensors, network, base.naming))
    rounded = outputs(base.modules)

    pipeline_of(fresh).load_lora_weights(tmp_path, weight_name="Bear_v6.safetensors")
    loaded = outputs(fresh.modules)
    for was, wanted, exact, got in zip(bare, trained, rounded, loaded, strict=True):
        change = (wanted - was).abs().mean()
        assert change > 0.05 * was.abs().mean()
        torch.testing.assert_close(got, exact, rtol=1e-4, atol=1e-5)
        assert (got - wanted).abs().mean() < 0.01 * change  # fp16 in the file, fp32 in training


def test_kinds_of_adapter_that_diffusers_does_not_load() -> None:
    """What conf/network/ says of them, and docs/coming-from-kohya.md."""
    base = tiny_base()
    for kind in ("loha", "lokr"):
        adapter = build_adapter(base, NetworkConfig(type=kind, rank=1), components=ALL, seed=0, name="v1")
        tensors = export_tensors(adapter.state(), NetworkConfig(type=kind, rank=1), base.naming)
        adapter.remove()
        with pytest.raises(ValueError, match="have not been correctly renamed"):
            StableDiffusionXLPipeline.lora_state_dict(tensors, unet_config=base.modules["unet"].config)
    dora = NetworkConfig(rank=1, dora=True)
    adapter = build_adapter(base, dora, components=ALL, seed=0, name="v1")
    tensors = export_tensors(adapter.state(), dora, base.naming)
    read, _ = StableDiffusionXLPipeline.lora_state_dict(tensors, unet_config=base.modules["unet"].config)
    assert sum("dora_scale" in name for name in tensors) == len(tensors) / 4
    assert len(read) == len(tensors) / 2 and all("lora" in name and "magnitude" not in name for name in read)
