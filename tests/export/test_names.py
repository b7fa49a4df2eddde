"""kohya's names, held to names that are known, to SDXL at full size and to diffusers' own reading of them."""

import re
from types import SimpleNamespace

import pytest
from diffusers.loaders.lora_conversion_utils import _convert_unet_lora_key as diffusers_spelling
from diffusers.loaders.lora_conversion_utils import _maybe_map_sgm_blocks_to_diffusers as diffusers_blocks

from lorasweep.adapters.targets import target_pattern
from lorasweep.families.sdxl.family import FAMILY
from lorasweep.families.sdxl.names import UNetLayout, kohya_layer, module_path
from lorasweep.schema import NetworkConfig

from ..adapters.tiny_sdxl import SDXL_BLOCKS, full_size_base

LAYOUT = UNetLayout.of(SDXL_BLOCKS)
KNOWN = {
    "unet.down_blocks.0.resnets.0.conv1": "lora_unet_input_blocks_1_0_in_layers_2",
    "unet.down_blocks.0.resnets.1.time_emb_proj": "lora_unet_input_blocks_2_0_emb_layers_1",
    "unet.down_blocks.0.downsamplers.0.conv": "lora_unet_input_blocks_3_0_op",
    "unet.down_blocks.1.resnets.0.conv_shortcut": "lora_unet_input_blocks_4_0_skip_connection",
    "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q": (
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
    ),
    "unet.down_blocks.2.attentions.1.transformer_blocks.9.ff.net.0.proj": (
        "lora_unet_input_blocks_8_1_transformer_blocks_9_ff_net_0_proj"
    ),
    "unet.mid_block.resnets.0.conv2": "lora_unet_middle_block_0_out_layers_3",
    "unet.mid_block.attentions.0.proj_in": "lora_unet_middle_block_1_proj_in",
    "unet.mid_block.resnets.1.conv1": "lora_unet_middle_block_2_in_layers_2",
    "unet.up_blocks.0.attentions.0.transformer_blocks.3.attn2.to_out.0": (
        "lora_unet_output_blocks_0_1_transformer_blocks_3_attn2_to_out_0"
    ),
    "unet.up_blocks.0.upsamplers.0.conv": "lora_unet_output_blocks_2_2_conv",
    "unet.up_blocks.1.attentions.2.proj_out": "lora_unet_output_blocks_5_1_proj_out",
    "unet.up_blocks.1.upsamplers.0.conv": "lora_unet_output_blocks_5_2_conv",
    "unet.up_blocks.2.resnets.2.conv_shortcut": "lora_unet_output_blocks_8_0_skip_connection",
    "text_encoder.text_model.encoder.layers.11.self_attn.out_proj": (
        "lora_te1_text_model_encoder_layers_11_self_attn_out_proj"
    ),
    "text_encoder_2.text_model.encoder.layers.31.mlp.fc1": "lora_te2_text_model_encoder_layers_31_mlp_fc1",
}


@pytest.fixture(scope="module")
def paths() -> list[str]:
    """Every module that can be adapted on SDXL at full size."""
    network, modules = NetworkConfig(convolutions=True), full_size_base().modules
    return [
        FAMILY.layer_name(part.name, name)
        for part in FAMILY.parts
        for name, _ in modules[part.name].named_modules()
        if re.fullmatch(target_pattern(part, network), name)
    ]


@pytest.mark.parametrize(("path", "name"), KNOWN.items())
def test_known_names(path: str, name: str) -> None:
    assert kohya_layer(path, LAYOUT) == name
    assert module_path(name, LAYOUT) == path


def test_every_name_is_one_module_and_leads_back(paths: list[str]) -> None:
    names = [kohya_layer(path, LAYOUT) for path in paths]
    assert len(set(names)) == len(names) == 788 + 72 + 192
    assert [module_path(name, LAYOUT) for name in names] == paths
    blocks = {re.match(r"lora_unet_(\w+?_blocks?_\d+)_", name)[1] for name in names if "unet" in name}
    inputs = {f"input_blocks_{i}" for i in range(1, 9)}  # input_blocks_0 is conv_in
    assert blocks == inputs | {f"middle_block_{i}" for i in range(3)} | {f"output_blocks_{i}" for i in range(9)}


def test_diffusers_reads_every_name_as_the_module_it_came_from(paths: list[str]) -> None:
    unet = [path for path in paths if path.startswith("unet.")]
    keys = {f"{kohya_layer(path, LAYOUT)}.lora_down.weight": path for path in unet}
    config = SimpleNamespace(layers_per_block=2)
    mapped = diffusers_blocks(dict(keys), config)
    for key, path in mapped.items():
        read = diffusers_spelling(key)
        read = read.replace(".processor.to_", ".to_").replace("to_out_lora.down", "to_out.0.lora.down")
        read = read.replace("_lora.down", ".lora.down").removesuffix(".lora.down.weight")
        assert f"unet.{read}" == path


def test_an_up_block_without_attention_has_its_upsampler_one_place_earlier() -> None:
    # Stable Diffusion 1.5: 4 resolutions, the lowest without attention
    layout = UNetLayout.of(
        {"layers_per_block": [2, 2, 2, 2], "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3]}
    )
    for block, name in (
        (0, "output_blocks_2_1_conv"),
        (1, "output_blocks_5_2_conv"),
        (2, "output_blocks_8_2_conv"),
    ):
        assert kohya_layer(f"unet.up_blocks.{block}.upsamplers.0.conv", layout) == f"lora_unet_{name}"
        assert module_path(f"lora_unet_{name}", layout) == f"unet.up_blocks.{block}.upsamplers.0.conv"


def test_what_has_no_name_is_refused() -> None:
    for path in ("unet.conv_in", "unet.time_embedding.linear_1", "vae.encoder.conv_in"):
        with pytest.raises(ValueError, match="no kohya name"):
            kohya_layer(path, LAYOUT)
    for name in (
        "lora_te1_text_model_embeddings",
        "lora_unet_down_blocks_1_attentions_0_proj_in",
        "lora_unet_input_blocks_4_1_proj_sideways",
        "lora_te_text_model_encoder_layers_0_mlp_fc1",
    ):
        with pytest.raises(ValueError):
            module_path(name, LAYOUT)
    with pytest.raises(ValueError, match="same layers_per_block"):
        UNetLayout.of({"layers_per_block": [1, 2], "up_block_types": []})
