"""The adapter's options: what has no effect or no meaning is refused in one line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lorasweep.checks.network import RULES
from lorasweep.schema import Config, NetworkConfig


def problems(**network: Any) -> list[str]:
    config = Config(name="Sage", network=NetworkConfig(**network))
    return [line for rule in RULES for line in rule(config)]


def test_defaults_are_sound_with_every_kind() -> None:
    for kind in ("lora", "loha", "lokr", "full"):
        assert problems(type=kind) == []


@pytest.mark.parametrize(
    ("network", "complaint"),
    [
        ({"ranks": ["attn2"]}, "network.ranks: 'attn2': expected PATTERN:RANK or PATTERN:RANK/ALPHA"),
        ({"ranks": ["attn2=4"]}, "expected PATTERN:RANK"),
        ({"ranks": ["attn2:4.5"]}, "expected PATTERN:RANK"),
        ({"ranks": ["attn(:4"]}, "'attn(' is no regular expression"),
        ({"ranks": ["attn2:0"]}, "expected a rank of at least 1"),
        ({"ranks": ["attn2:4/0"]}, "an alpha above 0"),
        ({"type": "lokr", "factor": 0}, "network.factor=0: expected a divisor"),
        ({"start_from": "missing.safetensors"}, "there is no such file"),
    ],
)
def test_what_has_no_meaning_is_refused(network: dict[str, Any], complaint: str) -> None:
    [line] = problems(**network)
    assert complaint in line


def test_the_file_to_start_from_is_looked_at(tmp_path: Path) -> None:
    pickled, damaged, whole = (tmp_path / name for name in ("a.pt", "b.safetensors", "c.safetensors"))
    pickled.write_bytes(b"x")
    damaged.write_bytes(b"x" * 100)
    save_file({"a": torch.ones(1)}, whole)
    assert "a pickled file could run any code" in problems(start_from=str(pickled))[0]
    assert "copy or download it again" in problems(start_from=str(damaged))[0]
    assert problems(start_from=str(whole)) == []
    assert "Convert it with: python -c" in problems(start_from=str(pickled))[0]
    for tensors, complaint in (
        ({}, "it holds no tensors, so that training would start at zero"),
        ({"first_stage_model.decoder.conv_in.weight": torch.ones(1)}, "this is a VAE; expected a LoRA"),
        ({"model.diffusion_model.double_blocks.0.x": torch.ones(1)}, "this is a FLUX model; expected a LoRA"),
    ):
        save_file(tensors, whole)
        [line] = problems(start_from=str(whole))
        assert complaint in line
    for name in ("unet.mid_block.attentions.0.processor.to_q_lora.down.weight", "lycoris_mid_block_x.oft_blocks"):
        save_file({name: torch.ones(1)}, whole)
        assert problems(start_from=str(whole)) == []
