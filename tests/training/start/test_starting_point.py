"""A weights file to start from is read whole, or refused in words before anything is made for the run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lorasweep.adapters.adapter import build_adapter
from lorasweep.errors import UserError
from lorasweep.export.weights import export_tensors
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config, NetworkConfig
from lorasweep.training.start import starting_point
from lorasweep.training.start.starting_point import examine, load_start

from ...adapters.tiny_sdxl import randomise, tiny_base
from ...training_on import run

NETWORK = NetworkConfig(rank=4, alpha=2)


@pytest.fixture(scope="module")
def tensors(toy_base: SDXL) -> dict[str, Tensor]:
    """A file of the toy base's UNet and first text encoder."""
    adapter = build_adapter(toy_base, NETWORK, components=("unet", "text_encoder"), seed=0, name="source")
    randomise(adapter)
    found = export_tensors(adapter.state(), NETWORK, toy_base.naming)
    adapter.remove()
    return found


@pytest.fixture
def config(short_config: Config, tmp_path: Path) -> Config:
    short_config.network = replace(NETWORK, start_from=str(tmp_path / "start.safetensors"))
    short_config.optimizer.text_encoder_2_lr = 0.0
    return short_config


def refusal(config: Config, base: SDXL, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> str:
    assert config.network.start_from is not None
    save_file(tensors, config.network.start_from, metadata)
    with pytest.raises(UserError) as caught:
        examine(config, base.naming)
    assert config.network.start_from in str(caught.value)
    return str(caught.value)


def test_a_sound_file_passes(config: Config, toy_base: SDXL, tensors: dict[str, Tensor]) -> None:
    assert config.network.start_from is not None
    save_file(tensors, config.network.start_from)
    examine(config, toy_base.naming)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float8_e5m2])
def test_nan_is_named(
    config: Config, toy_base: SDXL, tensors: dict[str, Tensor], value: float, dtype: torch.dtype
) -> None:
    bad = "lora_unet_middle_block_1_proj_in.lora_up.weight"
    broken = tensors[bad].clone().float()
    broken[0, 0] = value
    said = refusal(config, toy_base, tensors | {bad: broken.to(dtype)})
    assert f"1 of its {len(tensors)} tensors hold NaN or infinity, the first is {bad}" in said
    assert "take an earlier file of it" in said and "optimizer.lr" not in said


def test_nothing_is_made_for_it(config: Config, toy_base: SDXL, tensors: dict[str, Tensor]) -> None:
    assert config.network.start_from is not None
    save_file({name: tensor * float("nan") for name, tensor in tensors.items()}, config.network.start_from)
    with pytest.raises(UserError, match="NaN or infinity"):
        run(config, base=toy_base)
    assert not Path(config.output_root).exists()


@pytest.mark.parametrize(
    "name",
    [
        "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight",  # FLUX
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",  # SD 1.5
    ],
)
def test_loras_of_other_models(config: Config, toy_base: SDXL, name: str) -> None:
    said = refusal(config, toy_base, {name: torch.zeros(4, 8)})
    assert f"it is a LoRA and has no layer of SDXL's UNet or text encoders in its 1 tensors, such as {name}" in said
    assert "it is an empty file" in refusal(config, toy_base, {})


def test_each_kind_of_layers_that_is_not_trained_has_its_cure(
    config: Config, toy_base: SDXL, tensors: dict[str, Tensor]
) -> None:
    config.network.attention = config.network.projections = False
    config.optimizer.text_encoder_lr = 0.0
    said = refusal(config, toy_base, tensors)
    cures = re.findall(r"train them with ([\w.]+)=(\w+)", said)
    assert sorted(key for key, _ in cures) == ["network.attention", "network.projections", "optimizer.text_encoder_lr"]
    config.network.attention = config.network.projections = True
    config.optimizer.text_encoder_lr = 1e-4
    examine(config, toy_base.naming)
    config.optimizer.lr = 0.0
    assert re.findall(r"train them with ([\w.]+)=RATE", refusal(config, toy_base, tensors)) == ["optimizer.lr"]


def test_a_file_of_another_base(config: Config, toy_base: SDXL, tensors: dict[str, Tensor]) -> None:
    other = tiny_base()
    assert config.network.start_from is not None
    save_file(tensors, config.network.start_from)
    adapter = build_adapter(other, config.network, components=("unet", "text_encoder"), seed=0, name="v1")
    with pytest.raises(
        UserError, match=r"layers are for another base: .* has the shape \[4, \d+\], here it is \[4, \d+\]"
    ):
        load_start(adapter, config.network, other.naming)


def test_what_no_adapter_has_is_named_and_left_out(
    config: Config, toy_base: SDXL, tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(starting_point, "echo", said.append)
    more = {"lora_te2_text_projection.alpha": torch.ones(()), "bundle_emb.bear.clip_l": torch.zeros(1, 8)}
    assert config.network.start_from is not None
    save_file(tensors | more, config.network.start_from)
    adapter = build_adapter(toy_base, NETWORK, components=("unet", "text_encoder"), seed=0, name="v1")
    load_start(adapter, config.network, toy_base.naming)
    state = adapter.state()
    adapter.remove()
    assert len(said) == 1 and "2 tensors of start.safetensors are of layers that no adapter has here" in said[0]
    assert any(name in said[0] for name in more)
    assert all(values.any() for values in state.values())
