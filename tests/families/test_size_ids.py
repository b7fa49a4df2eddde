"""What the UNet is told of an image's size is the number itself, whatever the precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lorasweep.families.base import ImageFacts
from lorasweep.families.conditioning import Conditioning
from lorasweep.families.sdxl.model import SDXL

from .small_sdxl import small_sdxl

FACTS = ImageFacts(original=(1023, 1500), crop=(257.0, 3000.0), target=(5003, 1024))
SIZES = [1500.0, 1023.0, 3000.0, 257.0, 1024.0, 5003.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_sizes_are_not_rounded(dtype: torch.dtype, toy_base: SDXL) -> None:
    base = small_sdxl(toy_base).to("cpu", dtype)
    seen: list[Tensor] = []
    base.unet.add_time_proj.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    text = Conditioning({"hidden": torch.randn(1, 77, 24), "pooled": torch.randn(1, 12)})
    with torch.no_grad():
        base.predict(torch.randn(1, 4, 8, 8), torch.tensor([3]), base.with_facts(text, [FACTS]))
    assert seen[0].tolist() == SIZES
