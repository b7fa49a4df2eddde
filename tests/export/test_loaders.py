"""What a loader makes of a weights file is the weight that was trained, for every kind of adapter.

The loader's formulas are ComfyUI's (comfy/weight_adapter), which A1111 and LyCORIS share.
"""

import copy
import math
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lorasweep.adapters.adapter import build_adapter
from lorasweep.errors import UserError
from lorasweep.export.weights import export_tensors, read_weights, write_weights
from lorasweep.families.sdxl.names import UNetLayout, module_path
from lorasweep.schema import NetworkConfig

from ..adapters.tiny_sdxl import SDXL_BLOCKS, randomise, tiny_base
from .reading import state_in

COMPONENTS = ("unet", "text_encoder")
LAYERS = {"attention": False, "feed_forward": True, "projections": False, "convolutions": True}
NETWORKS = {
    "lora": {},
    "ranks": {"ranks": [r"\.ff\.:3", "^text_encoder:4/1.5", r"resnets.*conv1:1"]},
    "rslora": {"rslora": True, "ranks": [r"\.ff\.:3", "^text_encoder:4/1.5"]},
    "dora": {"dora": True},
    "dora rslora": {"dora": True, "rslora": True},
    "loha": {"type": "loha"},
    "loha rslora": {"type": "loha", "rslora": True, "ranks": ["resnets:3"]},
    "loha tucker": {"type": "loha", "tucker": True},
    "lokr": {"type": "lokr", "rank": 1, "ranks": ["resnets:2"]},
    "lokr whole": {"type": "lokr", "rank": 64, "alpha": 1},
    "lokr factor": {"type": "lokr", "rank": 1, "factor": 4, "decompose_both": True, "rslora": True},
}


def loaded(weight: Tensor, module: dict[str, Tensor]) -> Tensor:
    """The weight after ComfyUI has applied one module of a file at strength 1."""
    weight, module = weight.double(), {name: tensor.double() for name, tensor in module.items()}
    alpha = module["alpha"].item()
    if "lora_up.weight" in module:
        up, down = module["lora_up.weight"], module["lora_down.weight"]
        change = up.flatten(1) @ down.flatten(1) * (alpha / down.shape[0])
    elif "hada_w1_a" in module:
        first, second = (rebuilt(module, f"hada_w{n}_a", f"hada_w{n}_b", f"hada_t{n}") for n in (1, 2))
        change = first * second * (alpha / module["hada_w1_b"].shape[0])
    else:
        rank = None
        if (left := module.get("lokr_w1")) is None:
            rank = module["lokr_w1_b"].shape[0]
            left = module["lokr_w1_a"] @ module["lokr_w1_b"]
        if (right := module.get("lokr_w2")) is None:
            rank = module["lokr_w2_b"].shape[0]
            right = module["lokr_w2_a"] @ module["lokr_w2_b"]
        if right.dim() == 4:
            left = left[:, :, None, None]
        change = torch.kron(left, right) * (1 if rank is None else alpha / rank)
    changed = weight + change.reshape(weight.shape)
    if "dora_scale" in module:
        # The axis is the inputs', unless the outputs are as many as the scales along the first axis
        assert module["dora_scale"].shape[0] != weight.shape[0]
        columns = changed.transpose(0, 1).reshape(weight.shape[1], -1).norm(dim=1)
        changed = changed * module["dora_scale"] / columns.reshape(1, -1, *[1] * (weight.dim() - 2))
    return changed


def rebuilt(module: dict[str, Tensor], first: str, second: str, core: str) -> Tensor:
    if core in module:
        return torch.einsum("ijkl,jr,ip->prkl", module[core], module[second], module[first])
    return module[first] @ module[second]


@pytest.fixture
def base() -> SimpleNamespace:
    return tiny_base()


def trained(base: SimpleNamespace, kind: str, **more: Any) -> tuple[Any, NetworkConfig]:
    network = NetworkConfig(**{"rank": 2, "alpha": 3} | LAYERS | NETWORKS[kind] | more)
    adapter = build_adapter(base, network, components=COMPONENTS, seed=0, name="v1")
    draws = torch.Generator().manual_seed(1)
    state = {
        name: tensor * (1 + 0.2 * torch.randn(tensor.shape, generator=draws))
        if name.endswith("dora_scale")
        else 0.4 * torch.randn(tensor.shape, generator=draws)
        for name, tensor in adapter.state().items()
    }
    adapter.load(state)
    return adapter, network


def modules_of(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    modules: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        module, _, end = name.partition(".")
        modules[module][end] = tensor
    return modules


@pytest.mark.parametrize("kind", NETWORKS)
@torch.no_grad()
def test_a_loader_computes_what_was_trained(base: SimpleNamespace, kind: str) -> None:
    adapter, network = trained(base, kind)
    tensors = export_tensors(adapter.state(), network, base.naming)
    adapter.load(state_in(tensors, network, base.naming))  # as fp16 rounded them
    shapes = set()
    for name, module in modules_of(tensors).items():
        component, _, path = module_path(name, UNetLayout.of(SDXL_BLOCKS)).partition(".")
        path = path.removeprefix("text_model.")  # where transformers 5 keeps it
        layer = base.modules[component].get_submodule(path)
        plain = copy.deepcopy(layer.get_base_layer()).double()
        inputs = (2, 5, plain.in_features) if layer.weight.dim() == 2 else (2, plain.in_channels, 6, 6)
        x = torch.randn(inputs, generator=torch.Generator().manual_seed(2))
        got = layer(x)
        bare = plain(x.double())
        plain.weight.copy_(loaded(plain.weight, module))
        expected = plain(x.double())
        assert (expected - bare).abs().mean() > 0.005 * bare.abs().mean()
        torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-5)
        shapes.add((component, layer.weight.dim()))
    assert shapes == {("unet", 2), ("unet", 4), ("text_encoder", 2)}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_file_gives_the_adapter_back(base: SimpleNamespace, tmp_path: Path, kind: str) -> None:
    adapter, network = trained(base, kind)
    write_weights(tmp_path / "a.safetensors", export_tensors(adapter.state(), network, base.naming), {})
    state = state_in(read_weights(tmp_path / "a.safetensors")[0], network, base.naming)
    was = adapter.state()
    assert state.keys() == was.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, was[name] if name.endswith("dora_scale") else was[name].half().float())


def test_ranks_and_alphas_are_the_layers_own(base: SimpleNamespace) -> None:
    def sizes(kind: str) -> dict[str, tuple[int, float]]:
        adapter, network = trained(base, kind)
        found = {}
        for name, module in modules_of(export_tensors(adapter.state(), network, base.naming)).items():
            family = next((part for part in ("te1", "ff", "in_layers") if part in name), "other")
            found[family] = (module["lora_down.weight"].shape[0], module["alpha"].item())
        adapter.remove()
        return found

    # The common scale is 3 / 2; text encoders have an alpha of their own.
    assert sizes("ranks") == {"ff": (3, 4.5), "te1": (4, 1.5), "in_layers": (1, 1.5), "other": (2, 3.0)}
    # Rank-stabilised it is 3 / sqrt(2), and 1.5 / sqrt(4) = 3 / 4 for the text encoders.
    found = sizes("rslora")
    assert found["te1"] == (4, pytest.approx(3.0))
    assert found["ff"] == (3, pytest.approx(3 * 3 / math.sqrt(2)))


@pytest.mark.parametrize(
    ("kind", "settings", "complaint"),
    [
        ("lora", {"type": "loha"}, r"lora_down\.weight is no tensor of a LoHa in LyCORIS' format"),
        ("lokr", {}, r"lokr_w.* is no tensor of a LoRA in kohya's format"),
        ("dora", {}, r"dora_scale is no tensor of a LoRA in kohya's format"),
        ("lora", {"dora": True}, r"lacks lora_down\.weight or lora_up\.weight or dora_scale"),
        ("ranks", {}, r"such\): set network\.rank=2 network\.alpha=3 'network\.ranks=\["),
        (
            "rslora",
            {"rslora": True},
            r"rank 3, alpha 6\.36.*such\): set network\.rank=2 network\.alpha=3 'network\.ranks",
        ),
        ("loha", {"type": "loha", "rank": 4}, r"rank 2, alpha 3; the run 4 and 3"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    base: SimpleNamespace, kind: str, settings: dict[str, Any], complaint: str
) -> None:
    adapter, network = trained(base, kind)
    tensors = export_tensors(adapter.state(), network, base.naming)
    with pytest.raises(UserError, match=complaint):
        state_in(tensors, NetworkConfig(**{"rank": 2, "alpha": 3} | settings), base.naming)


def test_half_a_module_is_refused(base: SimpleNamespace) -> None:
    for kind, factor in (("loha", "hada_w2_a"), ("lokr", "lokr_w1")):
        adapter, network = trained(base, kind)
        tensors = export_tensors(adapter.state(), network, base.naming)
        adapter.remove()
        name = next(name for name in tensors if name.endswith(f".{factor}"))
        module = name.partition(".")[0]
        with pytest.raises(UserError, match=f"{module} lacks {factor}"):
            state_in({k: t for k, t in tensors.items() if k != name}, network, base.naming)


def test_randomise_reaches_every_factor(base: SimpleNamespace) -> None:
    adapter, _ = trained(base, "loha tucker")
    randomise(adapter)
    assert all(tensor.any() for tensor in adapter.state().values())
