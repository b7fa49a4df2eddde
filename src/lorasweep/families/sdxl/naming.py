"""Names of SDXL's layers in weights files, whichever program wrote them.

program                      a layer
sd-scripts, LyCORIS          lora_unet_input_blocks_4_1_..., lora_te1_...
ai-toolkit, OneTrainer       lora_unet_down_blocks_1_attentions_0_...
LyCORIS by itself            lycoris_down_blocks_1_attentions_0_...
OneTrainer, for ComfyUI      diffusion_model.input_blocks.4.1. ...
diffusers                    unet.down_blocks.1.attentions.0. ...
diffusers before PEFT        unet.down_blocks. ... .attn1.processor.to_q_lora
PEFT                         base_model.model.down_blocks.1.attentions.0. ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lorasweep.families.sdxl.grouping import GROUPINGS
from lorasweep.families.sdxl.names import PREFIXES, UNetLayout, diffusers_path, kohya_layer, module_path
from lorasweep.families.sdxl.parts import PARTS

if TYPE_CHECKING:
    from torch import Tensor

_PARTS = (
    ("text_encoder_2", r"lora_te2_|text_encoder_2_|text_encoders_clip_g_(transformer_)?"),
    ("text_encoder", r"lora_te1_|text_encoder_|text_encoders_clip_l_(transformer_)?"),
    ("unet", r"lora_unet_|lycoris_|unet_|(model_)?diffusion_model_|base_model_model_|"),
)
_OTHER_WIDTHS = {768: "SD 1.5", 1024: "SD 2"}
"""Models by the width of the captions that a UNet's cross-attention takes; SDXL's is 2,048."""


class SDXLNaming:
    """Names of the layers of an SDXL, as `lorasweep.families.naming.Naming` asks for them.

    Args:
        layout: of the UNet's blocks, which kohya's numbers depend on.
    """

    title = "SDXL's UNet or text encoders"
    parts = PARTS
    groupings = GROUPINGS

    def __init__(self, layout: UNetLayout) -> None:
        self._layout = layout

    @classmethod
    def of(cls, unet_config: Mapping[str, Any]) -> SDXLNaming:
        """Return the names for a UNet of this config.

        Raises:
            ValueError: its blocks differ in their number of layers.
        """
        return cls(UNetLayout.of(unet_config))

    def in_file(self, layer: str) -> str:
        """Return kohya's name of a layer.

        Raises:
            ValueError: kohya has none for it.
        """
        return kohya_layer(layer, self._layout)

    def layer(self, name: str) -> str:
        """Return the stable name of a layer of a file.

        Raises:
            ValueError: an adapter can have no such layer.
        """
        flat = name.replace(".", "_")
        part, inner = next((part, flat[match.end() :]) for part, start in _PARTS if (match := re.match(start, flat)))
        if part == "unet" and (path := diffusers_path(inner)):
            return f"unet.{path}"
        if part != "unet" and inner.startswith("encoder_"):  # as transformers 5 has it
            inner = f"text_model_{inner}"
        return module_path(PREFIXES[part] + inner, self._layout)

    def current(self, name: str) -> str:
        """Return a name of diffusers' earlier formats as PEFT has it, any other as it is."""
        if not re.search(r"\.processor\.|_lora\.|\.lora\.|\.lora_linear_layer\.", name):
            return name
        from diffusers.utils import state_dict_utils as tables

        text = "text_model." in name or name.startswith("text_encoder")
        mapping = tables.DIFFUSERS_OLD_TO_PEFT | tables.DIFFUSERS_TO_PEFT if text else tables.UNET_TO_DIFFUSERS
        return str(next(iter(tables.convert_state_dict({name: None}, mapping))))

    def has_own_alpha(self, layer: str) -> bool:
        """Return whether diffusers finds this layer's alpha by its name."""
        return layer.startswith("unet.") and ".attn" not in layer

    def foreign(self, layers: Mapping[str, Mapping[str, Tensor]]) -> str | None:
        """Return which other model's UNet some layers are of, by the width of the captions that it takes."""
        down = ".lora_down.weight"
        keys = [ends[down] for layer, ends in layers.items() if layer.endswith("attn2.to_k") and down in ends]
        others = [_OTHER_WIDTHS[tensor.shape[1]] for tensor in keys if tensor.shape[1] in _OTHER_WIDTHS]
        return f"{others[0]}, by the width of its cross-attention" if others else None


USUAL = SDXLNaming(UNetLayout(2, (True, True, False)))
"""Of the sizes that SDXL was published in, which the toy base has too."""
