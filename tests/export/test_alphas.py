"""Files hold alphas that every loader reads as they are meant."""

import pytest

from lorasweep.export.alphas import file_alphas
from lorasweep.families.sdxl.naming import USUAL

ATTENTION = [f"unet.mid_block.attentions.0.transformer_blocks.0.attn{n}.to_{part}" for n in (1, 2) for part in "qkv"]
OTHERS = [f"unet.mid_block.resnets.{n}.conv{m}" for n in (0, 1) for m in (1, 2)]
TEXT = [f"text_encoder.text_model.encoder.layers.{n}.mlp.fc1" for n in range(3)]


@pytest.mark.parametrize(
    "alphas",
    [
        dict.fromkeys(ATTENTION + OTHERS, 8.0),
        dict.fromkeys(ATTENTION, 8.0) | dict.fromkeys(OTHERS, 1.0),  # layers that diffusers finds
        dict.fromkeys(ATTENTION, 8.0) | dict.fromkeys(TEXT, 1.5),  # each component by itself
        dict.fromkeys(OTHERS[:1], 8.0) | dict.fromkeys(OTHERS[1:], 1.0),
    ],
)
def test_true_alphas_are_written_where_they_are_read_as_such(alphas: dict[str, float]) -> None:
    assert file_alphas(alphas, USUAL) == alphas


@pytest.mark.parametrize(
    ("alphas", "one"),
    [
        (dict.fromkeys(ATTENTION[:3], 1.0) | dict.fromkeys(ATTENTION[3:] + OTHERS, 8.0), 8.0),
        (dict.fromkeys(ATTENTION[:4], 1.0) | dict.fromkeys(OTHERS, 8.0), 1.0),  # as frequent: which one is left open
        (dict.fromkeys(ATTENTION[:2], 1.0) | dict.fromkeys(OTHERS, 8.0), 8.0),
        (dict.fromkeys(TEXT[:1], 2.0) | dict.fromkeys(TEXT[1:], 4.0), 4.0),
    ],
)
def test_a_component_has_one_alpha_where_its_own_would_not_be_found(alphas: dict[str, float], one: float) -> None:
    more = dict.fromkeys(["text_encoder_2.text_model.encoder.layers.0.mlp.fc2"], 3.0)
    assert file_alphas(alphas | more, USUAL) == dict.fromkeys(alphas, one) | more
