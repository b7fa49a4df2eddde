"""Ranks of some layers: which entry counts, the scale that stays, and what is refused."""

from types import SimpleNamespace

import pytest
import torch

from lorasweep.adapters.lora import LoraAdapter
from lorasweep.adapters.ranks import LayerRank, idle_rules, layer_rank
from lorasweep.errors import UserError
from lorasweep.schema import NetworkConfig

from .tiny_sdxl import tiny_base

TO_K = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
FF = "unet.down_blocks.1.attentions.0.transformer_blocks.0.ff.net.2"


@pytest.fixture
def base() -> SimpleNamespace:
    return tiny_base()


def test_the_first_entry_that_matches_counts_and_keeps_the_scale() -> None:
    network = NetworkConfig(rank=8, alpha=4, ranks=["attn2.*to_k:2", "attn2:32/16", r"^text_encoder\.:6"])
    assert layer_rank(network, TO_K) == LayerRank(2, 1.0)
    assert layer_rank(network, TO_K.replace("to_k", "to_q")) == LayerRank(32, 16.0)
    assert layer_rank(network, FF) == LayerRank(8, 4)
    assert layer_rank(network, "text_encoder_2.text_model.encoder.layers.0.mlp.fc1") == LayerRank(8, 4)
    assert layer_rank(network, "text_encoder.text_model.encoder.layers.0.mlp.fc1").scale == 0.5


def test_rank_stabilised_scaling_is_alpha_over_sqrt_rank() -> None:
    network = NetworkConfig(rank=16, alpha=4, rslora=True, ranks=["attn2:64", "ff:9/6"])
    assert layer_rank(network, "unet.proj_in").scale == 4 / 4
    assert layer_rank(network, TO_K) == LayerRank(64, 64.0)  # the same scale
    assert layer_rank(network, FF).scale == pytest.approx(6 / 3)


def test_layers_get_their_ranks(base: SimpleNamespace) -> None:
    network = NetworkConfig(rank=4, alpha=2, ranks=[r"attn2\.to_k$:2", r"\.ff\.:3/1"])
    state = LoraAdapter(base, network, components=("unet", "text_encoder"), seed=0, name="v1").state()
    for name, values in state.items():
        if name.endswith("lora_A"):
            expected = 2 if "attn2.to_k." in name else 3 if ".ff." in name else 4
            assert values.shape[0] == expected, name
    plain = LoraAdapter(base, NetworkConfig(rank=4, alpha=2), components=("unet",), seed=0, name="v2").state()
    same = f"{TO_K.replace('to_k', 'to_q')}.lora_A"
    assert torch.equal(plain[same], state[same])  # the others start as without entries
    layer = base.modules["unet"].get_submodule(FF.removeprefix("unet."))
    assert layer.scaling["v1"] == 1 / 3 and layer.scaling["v2"] == 0.5


def test_an_entry_without_effect_is_refused_with_what_is_near(base: SimpleNamespace) -> None:
    def build(*ranks: str) -> None:
        LoraAdapter(base, NetworkConfig(ranks=list(ranks)), components=("unet",), seed=0, name="v1")

    with pytest.raises(UserError, match=r"network\.ranks=atn2:4: no adapted layer .*near: attn2"):
        build("atn2:4")
    with pytest.raises(
        UserError, match=r"text_encoder:4: no adapted layer has a name that matches; names are such as unet"
    ):
        build("text_encoder:4")
    with pytest.raises(UserError, match=r"network\.ranks=attn2:4: earlier entries match all of its layers"):
        build("attn:8", "attn2:4")
    assert idle_rules(NetworkConfig(ranks=["attn2:4", "attn:8"]), [TO_K, TO_K.replace("attn2", "attn1")]) == []
