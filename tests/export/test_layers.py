"""Files of other programs give the layers and the strength that those programs trained."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from lorasweep.errors import UserError
from lorasweep.export.importing import adapter_state
from lorasweep.export.layers import FileLayers, peft_settings, read_layers
from lorasweep.export.weights import read_weights
from lorasweep.families.sdxl.naming import SDXLNaming
from lorasweep.schema import NetworkConfig

from ..adapters.tiny_sdxl import SDXL_BLOCKS, tiny_base

NAMING = SDXLNaming.of(SDXL_BLOCKS)
UNET_TARGETS = ["to_q", "to_out.0", "proj_in", "ff.net.0.proj", "conv1", "time_emb_proj", "conv"]
TEXT_TARGETS = ["q_proj", "out_proj", "fc1"]
PARTS = ("unet", "text_encoder", "text_encoder_2")


@pytest.fixture(scope="module")
def trained() -> tuple[SimpleNamespace, dict[str, dict[str, Tensor]]]:
    """SDXL's parts with adapters that PEFT made, rank 4 and alpha 2, and what PEFT says they hold."""
    base = tiny_base()
    draws = torch.Generator().manual_seed(0)
    states = {}
    for part in PARTS:
        targets = UNET_TARGETS if part == "unet" else TEXT_TARGETS
        base.modules[part].add_adapter(LoraConfig(r=4, lora_alpha=2, target_modules=targets))
        for name, parameter in base.modules[part].named_parameters():
            if "lora_" in name:
                parameter.data.copy_(torch.randn(parameter.shape, generator=draws))
        states[part] = get_peft_model_state_dict(base.modules[part])
    return base, states


def stable(part: str, path: str) -> str:
    missing = part != "unet" and not path.startswith("text_model.")
    return f"{part}.text_model.{path}" if missing else f"{part}.{path}"


def expected(states: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    found = {}
    for part, state in states.items():
        found |= {stable(part, name.removesuffix(".weight")): tensor for name, tensor in state.items()}
    return found


def read(path: Path) -> FileLayers:
    tensors, metadata = read_weights(path)
    return read_layers(tensors, NAMING, peft_settings(path, metadata))


def assert_same(state: dict[str, Tensor], states: dict[str, dict[str, Tensor]]) -> None:
    wanted = expected(states)
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[name], wanted[name].float()) for name in wanted)


def kohya(states: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """The same in kohya's format."""
    ends = {"lora_A": "lora_down.weight", "lora_B": "lora_up.weight"}
    tensors = {}
    for name, tensor in expected(states).items():
        module, _, parameter = name.rpartition(".")
        tensors[f"{NAMING.in_file(module)}.{ends[parameter]}"] = tensor
        tensors[f"{NAMING.in_file(module)}.alpha"] = torch.tensor(2.0)
    return tensors


def in_diffusers_blocks(states: dict[str, dict[str, Tensor]], unet: str = "lora_unet") -> dict[str, Tensor]:
    """As ai-toolkit, OneTrainer and LyCORIS flatten diffusers' paths."""
    prefixes = {"unet": unet, "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
    tensors = {}
    for name, tensor in expected(states).items():
        module, _, parameter = name.rpartition(".")
        part, _, path = module.partition(".")
        flat = f"{prefixes[part]}_{path.replace('.', '_')}"
        tensors[f"{flat}.{'lora_down' if parameter == 'lora_A' else 'lora_up'}.weight"] = tensor
        tensors[f"{flat}.alpha"] = torch.tensor(2.0)
    return tensors


def dotted_sgm(states: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """As OneTrainer writes for ComfyUI: SGM's paths with dots, PEFT's ends, alphas."""
    tensors = {}
    for name, tensor in kohya({"unet": states["unet"]}).items():
        module, _, end = name.partition(".")
        path = module.removeprefix("lora_unet_")
        for inner in (
            "input_blocks_",
            "output_blocks_",
            "middle_block_",
            "transformer_blocks_",
            "attn1_",
            "attn2_",
            "ff_",
        ):
            path = path.replace(inner, f"{inner[:-1]}.")
        end = end.replace("lora_down", "lora_A").replace("lora_up", "lora_B")
        tensors[f"diffusion_model.{path}.{end}"] = tensor
    return tensors


def before_peft(states: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """As diffusers wrote attention before it used PEFT."""
    tensors = {}
    for name, tensor in states["unet"].items():
        if ".attn" in name:
            path, end = name.removesuffix(".weight").rsplit(".", 1)
            block, _, layer = path.rpartition(".to_")
            lora = f"to_{layer.removesuffix('.0')}_lora.{'down' if end == 'lora_A' else 'up'}"
            tensors[f"unet.{block}.processor.{lora}.weight"] = tensor
    return tensors


@pytest.mark.parametrize("told", [True, False])
def test_what_diffusers_saves(trained: Any, tmp_path: Path, told: bool) -> None:
    base, states = trained
    about = {
        f"{part}_lora_adapter_metadata": base.modules[part].peft_config["default"].to_dict() for part in PARTS if told
    }
    layers = {f"{part}_lora_layers": state for part, state in states.items()}
    StableDiffusionXLPipeline.save_lora_weights(tmp_path, **layers, **about)
    [file] = tmp_path.iterdir()
    found = read(file)
    assert not found.others
    # Untold, alpha is the rank: what diffusers itself then takes it for.
    assert_same(adapter_state(found, NetworkConfig(rank=4, alpha=2 if told else 4)), states)


def test_what_peft_saves(tmp_path: Path) -> None:
    base = tiny_base()
    config = LoraConfig(
        r=4,
        lora_alpha=2,
        target_modules=UNET_TARGETS,
        rank_pattern={"attn2.to_q": 8},
        alpha_pattern={"attn2.to_q": 3},
        init_lora_weights=False,
    )
    model = get_peft_model(base.modules["unet"], config)
    state = get_peft_model_state_dict(model)
    model.save_pretrained(tmp_path)
    found = adapter_state(
        read(tmp_path / "adapter_model.safetensors"), NetworkConfig(rank=4, alpha=2, ranks=[r"attn2\.to_q:8/3"])
    )
    named = {f"unet.{name.removeprefix('base_model.model.').removesuffix('.weight')}": it for name, it in state.items()}
    assert found.keys() == named.keys() and len(found) > 100
    assert all(torch.equal(found[name], named[name].float()) for name in named)
    settings = json.loads((tmp_path / "adapter_config.json").read_text()) | {"use_rslora": True}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    for layer, parts in read(tmp_path / "adapter_model.safetensors").tensors.items():
        stabilised = 3 * 8**0.5 if layer.endswith("attn2.to_q") else 2 * 4**0.5
        assert parts[".alpha"].item() == pytest.approx(stabilised)


@pytest.mark.parametrize(
    ("write", "parts"),
    [
        (kohya, PARTS),
        (in_diffusers_blocks, PARTS),
        (lambda states: in_diffusers_blocks({"unet": states["unet"]}, "lycoris"), ["unet"]),
        (dotted_sgm, ["unet"]),
        (lambda states: {f"diffusion_model.{name}": it for name, it in states["unet"].items()}, ["unet"]),
        (
            lambda states: {name.replace("lora_A", "lora_A.default"): it for name, it in states["unet"].items()},
            ["unet"],
        ),
    ],
    ids=["sd-scripts", "ai-toolkit", "LyCORIS", "OneTrainer", "ComfyUI", "a PEFT module"],
)
def test_names_of_other_programs(trained: Any, tmp_path: Path, write: Any, parts: list[str]) -> None:
    states = {part: trained[1][part] for part in parts}
    save_file({name: tensor.contiguous() for name, tensor in write(states).items()}, tmp_path / "a.safetensors")
    found = read(tmp_path / "a.safetensors")
    assert not found.others
    told = any(name.endswith(".alpha") for name in load_file(tmp_path / "a.safetensors"))
    assert_same(adapter_state(found, NetworkConfig(rank=4, alpha=2 if told else 4)), states)


def test_earlier_formats_of_diffusers(trained: Any) -> None:
    unet, *encoders = trained[1].values()
    attention = {name: tensor for name, tensor in unet.items() if ".attn" in name}
    found = read_layers(before_peft(trained[1]), NAMING)
    assert not found.others
    assert_same(adapter_state(found, NetworkConfig(rank=4, alpha=4)), {"unet": attention})
    layers = {f"unet.{name}": it for name, it in convert_state_dict_to_diffusers(unet).items()}
    layers |= {
        stable(part, name): it
        for part, state in zip(PARTS[1:], encoders, strict=True)
        for name, it in convert_state_dict_to_diffusers(state).items()
    }
    assert any("lora_linear_layer" in name for name in layers) and any(".lora.down" in name for name in layers)
    found = read_layers(layers, NAMING)
    assert not found.others
    assert_same(adapter_state(found, NetworkConfig(rank=4, alpha=4)), trained[1])


def test_what_diffusers_converts_to_kohyas_format(trained: Any) -> None:
    unet = {f"unet.{name}": tensor for name, tensor in trained[1]["unet"].items()}
    found = read_layers(convert_state_dict_to_kohya(unet), NAMING)
    assert not found.others
    assert_same(adapter_state(found, NetworkConfig(rank=4, alpha=4)), {"unet": trained[1]["unet"]})


def test_tensors_of_no_layer_are_kept_apart(trained: Any) -> None:
    more = {
        "lora_te2_text_projection.lora_down.weight": torch.zeros(4, 8),  # OneTrainer
        "bundle_emb.bear.clip_l": torch.zeros(2, 8),
        "lora_unet_time_embed_0.lora_up.weight": torch.zeros(8, 4),
        "lora_te_text_model_encoder_layers_0_mlp_fc1.alpha": torch.tensor(1.0),  # SD 1.5
        "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": torch.zeros(4, 8),  # FLUX
    }
    found = read_layers(kohya(trained[1]) | more, NAMING)
    assert found.others.keys() == more.keys()
    assert_same(adapter_state(found, NetworkConfig(rank=4, alpha=2)), trained[1])


def test_a_layer_by_two_names_counts_once(trained: Any) -> None:
    states = {"unet": trained[1]["unet"]}
    twice = {name: tensor + 1 for name, tensor in in_diffusers_blocks(states).items()}
    found = read_layers(kohya(states) | twice, NAMING)
    assert found.others.keys() == twice.keys()
    assert_same(adapter_state(found, NetworkConfig(rank=4, alpha=2)), states)


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"unet.lora_alpha": "many"}', '{"unet.alpha_pattern": 3}'])
def test_settings_of_peft_that_are_none(trained: Any, tmp_path: Path, text: str) -> None:
    tensors = {f"unet.{name}": tensor.contiguous() for name, tensor in trained[1]["unet"].items()}
    save_file(tensors, tmp_path / "a.safetensors", {"lora_adapter_metadata": text})
    assert_same(
        adapter_state(read(tmp_path / "a.safetensors"), NetworkConfig(rank=4, alpha=4)), {"unet": trained[1]["unet"]}
    )


def test_pefts_dora_is_refused_with_the_reason(trained: Any) -> None:
    tensors = {f"unet.{name}": tensor for name, tensor in trained[1]["unet"].items()}
    lengths = {
        name.replace("lora_A.weight", "lora_magnitude_vector"): torch.ones(8) for name in tensors if "lora_A" in name
    }
    with pytest.raises(UserError, match="lengths of input columns; start from a LoRA without DoRA"):
        adapter_state(read_layers(tensors | lengths, NAMING), NetworkConfig(rank=4, alpha=4))
