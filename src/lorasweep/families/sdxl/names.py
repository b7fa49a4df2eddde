"""Module paths of diffusers and transformers <-> names in kohya's weights files.

kohya's UNet is the one of Stability's generative-models ("SGM"), which numbers all blocks of a side in one
row, where diffusers nests resolutions, layers and samplers. For L = layers_per_block:

    diffusers                            SGM
    down_blocks.i.resnets.j              input_blocks.{i*(L+1) + j + 1}.0
    down_blocks.i.attentions.j           input_blocks.{i*(L+1) + j + 1}.1
    down_blocks.i.downsamplers.0.conv    input_blocks.{(i+1)*(L+1)}.0.op
    mid_block.resnets.0|1, attentions.0  middle_block.0|2, middle_block.1
    up_blocks.i.resnets.j                output_blocks.{i*(L+1) + j}.0
    up_blocks.i.attentions.j             output_blocks.{i*(L+1) + j}.1
    up_blocks.i.upsamplers.0.conv        output_blocks.{i*(L+1) + L}.{2, or 1 in a block without
    attention}.conv

(input_blocks.0 is conv_in.) Inside a transformer both sides agree; inside a ResNet block see RESNET. Names in
files are these paths with "_" for ".", after `lora_unet_`, `lora_te1_` or `lora_te2_`. Other programs write the
left-hand side in that way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
RESNET = {
    "norm1": "in_layers.0",
    "norm2": "out_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
SGM_RESNET = {sgm: diffusers for diffusers, sgm in RESNET.items()}

# What "_" stands for is known from these forms only, as a name does not tell "." from "_".
INNER = (
    (r"proj_(in|out)", r"proj_\1"),
    (r"transformer_blocks_(\d+)_attn([12])_to_(q|k|v)", r"transformer_blocks.\1.attn\2.to_\3"),
    (r"transformer_blocks_(\d+)_attn([12])_to_out_0", r"transformer_blocks.\1.attn\2.to_out.0"),
    (r"transformer_blocks_(\d+)_ff_net_0_proj", r"transformer_blocks.\1.ff.net.0.proj"),
    (r"transformer_blocks_(\d+)_ff_net_2", r"transformer_blocks.\1.ff.net.2"),
    (r"(in_layers|emb_layers|out_layers)_(\d)", r"\1.\2"),
    (r"skip_connection|op|conv|conv[12]|conv_shortcut|time_emb_proj", r"\g<0>"),
)
TEXT = re.compile(r"text_model_encoder_layers_(\d+)_(self_attn|mlp)_(q_proj|k_proj|v_proj|out_proj|fc1|fc2)")


@dataclass(frozen=True)
class UNetLayout:
    """The block structure of a UNet2DConditionModel, as far as names depend on it.

    Attributes:
        layers_per_block: ResNet blocks per resolution on the way down (one more on the way up).
        up_attention: for each up block, whether it has transformers.
    """

    layers_per_block: int
    up_attention: tuple[bool, ...]

    @classmethod
    def of(cls, unet_config: Mapping[str, Any]) -> UNetLayout:
        """Read the layout from a UNet's config (the content of its config.json).

        Raises:
            ValueError: blocks differ in their number of layers, which SGM names cannot express.
        """
        layers = unet_config["layers_per_block"]
        counts = {layers} if isinstance(layers, int) else set(layers)
        if len(counts) != 1:
            raise ValueError(f"SGM names need the same layers_per_block everywhere, not {layers}")
        return cls(counts.pop(), tuple("CrossAttn" in kind for kind in unet_config["up_block_types"]))


def kohya_layer(path: str, layout: UNetLayout) -> str:
    """Return the file's name of a module, given its component and path.

    Args:
        path: such as `unet.mid_block.attentions.0.proj_in` or
        `text_encoder.text_model.encoder.layers.0.mlp.fc1`.

    Raises:
        ValueError: a UNet path outside the blocks (`conv_in`, `time_embedding`...), or an unknown component.
    """
    component, _, module = path.partition(".")
    if component not in PREFIXES:
        raise ValueError(f"{path}: no kohya name for the component {component!r}")
    inner = sgm_path(module, layout) if component == "unet" else module
    return PREFIXES[component] + inner.replace(".", "_")


def module_path(name: str, layout: UNetLayout) -> str:
    """Return component and path of the module that a file's name stands for: the inverse of `kohya_layer`.

    Raises:
        ValueError: the name is none that `kohya_layer` gives.
    """
    for component, prefix in PREFIXES.items():
        if not name.startswith(prefix):
            continue
        rest = name.removeprefix(prefix)
        if component == "unet":
            return f"unet.{_from_sgm(rest, layout)}"
        if match := TEXT.fullmatch(rest):
            return f"{component}.text_model.encoder.layers.{match[1]}.{match[2]}.{match[3]}"
    raise ValueError(f"{name} is not a module's name in kohya's format")


def diffusers_path(name: str) -> str | None:
    """Return the path in a UNet of diffusers that a name stands for, "_" for "."; None of a name in kohya's format.

    Raises:
        ValueError: it is in one of diffusers' blocks, but an adapter can have no such layer.
    """
    match = re.fullmatch(r"(down_blocks|up_blocks)_(\d+)_(attentions|resnets|downsamplers|upsamplers)_(\d+)_(.+)", name)
    if match:
        return f"{match[1]}.{match[2]}.{match[3]}.{match[4]}.{_dotted(match[5])}"
    match = re.fullmatch(r"mid_block_(attentions|resnets)_(\d+)_(.+)", name)
    return f"mid_block.{match[1]}.{match[2]}.{_dotted(match[3])}" if match else None


def sgm_path(module: str, layout: UNetLayout) -> str:
    """Return the SGM path of a module in one of the UNet's blocks, by the table above.

    Raises:
        ValueError: it is in no block.
    """
    per_block = layout.layers_per_block + 1
    match module.split("."):
        case ["down_blocks", i, "downsamplers", "0", "conv"]:
            return f"input_blocks.{(int(i) + 1) * per_block}.0.op"
        case ["down_blocks", i, kind, j, *inner]:
            return f"input_blocks.{int(i) * per_block + int(j) + 1}.{_sgm_layer(kind, inner)}"
        case ["mid_block", "resnets", j, *inner]:
            return f"middle_block.{2 * int(j)}.{_sgm_inner(inner)}"
        case ["mid_block", "attentions", "0", *inner]:
            return f"middle_block.1.{_sgm_inner(inner)}"
        case ["up_blocks", i, "upsamplers", "0", "conv"]:
            place = 2 if layout.up_attention[int(i)] else 1
            return f"output_blocks.{int(i) * per_block + layout.layers_per_block}.{place}.conv"
        case ["up_blocks", i, kind, j, *inner]:
            return f"output_blocks.{int(i) * per_block + int(j)}.{_sgm_layer(kind, inner)}"
    raise ValueError(f"unet.{module} has no kohya name: it is in no block")


def _sgm_layer(kind: str, inner: list[str]) -> str:
    return f"{['resnets', 'attentions'].index(kind)}.{_sgm_inner(inner)}"


def _sgm_inner(inner: list[str]) -> str:
    return RESNET.get(inner[0], ".".join(inner))


def _from_sgm(name: str, layout: UNetLayout) -> str:
    match = re.fullmatch(r"(input_blocks|output_blocks)_(\d+)_(\d)_(.+)", name) or re.fullmatch(
        r"(middle_block)()_(\d)_(.+)", name
    )
    if not match:
        raise ValueError(f"lora_unet_{name} is in no block of a UNet")
    side, number, place, inner = match[1], int(match[2] or 0), int(match[3]), _dotted(match[4])
    inner = SGM_RESNET.get(inner, inner)
    per_block = layout.layers_per_block + 1
    if side == "middle_block":
        return f"mid_block.{('resnets.0', 'attentions.0', 'resnets.1')[place]}.{inner}"
    if side == "input_blocks":
        block, layer = divmod(number - 1, per_block)
        if inner == "op":
            return f"down_blocks.{block}.downsamplers.0.conv"
        return f"down_blocks.{block}.{('resnets', 'attentions')[place]}.{layer}.{inner}"
    block, layer = divmod(number, per_block)
    if inner == "conv":
        return f"up_blocks.{block}.upsamplers.0.conv"
    return f"up_blocks.{block}.{('resnets', 'attentions')[place]}.{layer}.{inner}"


def _dotted(inner: str) -> str:
    for form, dotted in INNER:
        if match := re.fullmatch(form, inner):
            return match.expand(dotted)
    raise ValueError(f"{inner!r} is no layer of a UNet's block")
