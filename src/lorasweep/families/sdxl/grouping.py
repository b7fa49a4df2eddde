"""Which layers of an SDXL belong together: patterns for `network.ranks`."""

from __future__ import annotations

import re

# The pattern of each kind of layer. kohya's `conv_dim` is for the 3 x 3 convolutions alone; the other layers of a
# ResNet block have the common rank there.
ATTENTION, FEED_FORWARD, PROJECTIONS = r"\.attn[12]\.", r"\.ff\.", r"\.proj_(in|out)$"
KERNELS, OTHER_CONVOLUTIONS = r"resnets.*\.conv[12]$|samplers", r"conv_shortcut|time_emb_proj"
TEXT_ENCODERS = "^text_encoder"
KINDS = (TEXT_ENCODERS, ATTENTION, FEED_FORWARD, PROJECTIONS, KERNELS, OTHER_CONVOLUTIONS)


def _kind(layer: str) -> str:
    return next((pattern for pattern in KINDS if re.search(pattern, layer)), _layer(layer))


def _half(layer: str) -> str:
    """One of the text encoders, self-attention or cross-attention of the UNet; else the kind."""
    if match := re.match(r"text_encoder(_2)?\.", layer):
        return f"^{re.escape(match[0])}"
    match = re.search(r"\.attn[12]\.", layer)
    return re.escape(match[0]) if match else _kind(layer)


def _role(layer: str) -> str:
    """What it is in its block, such as `attn2.to_q`; in all blocks of its component."""
    return f"{_half(layer)}.*{_end(layer)}" if re.search(TEXT_ENCODERS, layer) else _end(layer)


def _role_in_block(layer: str) -> str:
    return f"^(?=.*{_end(layer)}){_block(layer)[1:]}"


def _kind_in_block(layer: str) -> str:
    return f"^(?=.*({_kind(layer)})){_block(layer)[1:]}"


def _block(layer: str) -> str:
    """A block of the UNet as its files count them, a ResNet block with its transformer, or a layer of an encoder."""
    if match := re.match(r"(unet\.\w+\.\d+\.)(attentions|resnets)(\.\d+\.)", layer):
        return f"^{re.escape(match[1])}(attentions|resnets){re.escape(match[3])}"
    match = re.match(r"unet\.mid_block\.|unet\.\w+\.\d+\.\w+\.|text_encoder(_2)?\.text_model\.\w+\.\w+\.\d+\.", layer)
    return f"^{re.escape(match[0])}" if match else _layer(layer)


def _layer(layer: str) -> str:
    return f"^{re.escape(layer)}$"


def _end(layer: str) -> str:
    match = re.search(r"\.((attn[12]|ff|self_attn|mlp)\.[\w.]+|\w+)$", layer)
    return f"{re.escape(match[0])}$" if match else _layer(layer)


GROUPINGS = (
    (_kind, _half, _role, _role_in_block, _layer),
    (_block, _kind_in_block, _role_in_block, _layer),
)
