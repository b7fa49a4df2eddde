"""WeightsFile files put on a base compute what was trained, whatever program wrote them; what is left out is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lorasweep.errors import UserError
from lorasweep.evaluation.weights import all_on, modules_of, read, weights_digest
from lorasweep.export.changes import change
from lorasweep.export.weights import export_tensors
from lorasweep.schema import BaseModelConfig

from ..adapters.tiny_sdxl import text_output, tiny_base, unet_output
from ..export.reading import state_in
from ..export.test_loaders import NETWORKS, loaded, trained
from ..export.test_loaders import modules_of as layers_in

NO_MODEL = BaseModelConfig()


@pytest.fixture(scope="module")
def base() -> Iterator[SimpleNamespace]:
    yield tiny_base()


def outputs(base: SimpleNamespace) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return unet_output(base.modules["unet"]), text_output(base.modules["text_encoder"])


def written(base: SimpleNamespace, kind: str, path: Path) -> tuple[Tensor, Tensor]:
    """Write a trained adapter's file and return what the base computes with the adapter on it."""
    adapter, network = trained(base, kind)
    tensors = export_tensors(adapter.state(), network, base.naming)
    adapter.load(state_in(tensors, network, base.naming))  # as fp16 rounded them
    expected = outputs(base)
    adapter.remove()
    save_file(tensors, path)
    return expected


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_file_on_the_base_computes_what_was_trained(base: SimpleNamespace, kind: str, tmp_path: Path) -> None:
    bare, expected = outputs(base), written(base, kind, tmp_path / "a.safetensors")
    weights = read(tmp_path / "a.safetensors", base, NO_MODEL)  # type: ignore[arg-type]
    assert not weights.notes
    with all_on(base, [(weights, 1.0)]):  # type: ignore[list-item]
        found = outputs(base)
    for got, wanted, before in zip(found, expected, bare, strict=True):
        apart = (wanted - before).abs().max()
        assert apart > 0.01 and (got - wanted).abs().max() < 1e-4 * max(1, float(wanted.abs().max()))
    assert all(torch.equal(*pair) for pair in zip(outputs(base), bare, strict=True)), "the base is as it was"


def test_strengths_scale_the_change_and_files_add_up(base: SimpleNamespace, tmp_path: Path) -> None:
    """Through one layer, where both are exact."""
    layer = "unet.down_blocks.1.attentions.0.transformer_blocks.0.ff.net.2"
    written(base, "lora", tmp_path / "a.safetensors")
    written(base, "loha", tmp_path / "b.safetensors")
    first, second = (read(tmp_path / f"{name}.safetensors", base, NO_MODEL) for name in "ab")  # type: ignore[arg-type]
    module = modules_of(base)[layer]  # type: ignore[arg-type]
    x = torch.randn(3, module.in_features)

    def with_(*pairs: tuple[object, float]) -> Tensor:
        with all_on(base, pairs), torch.no_grad():  # type: ignore[arg-type]
            return module(x)

    bare = with_()
    half, whole = with_((first, 0.5)), with_((first, 1.0))
    torch.testing.assert_close(half - bare, (whole - bare) / 2, atol=1e-5, rtol=1e-4)
    both = with_((first, 0.5), (second, 0.7))
    torch.testing.assert_close(both, half + with_((second, 0.7)) - bare, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_change_of_a_weight_is_what_loaders_add(base: SimpleNamespace, kind: str, tmp_path: Path) -> None:
    adapter, network = trained(base, kind)
    tensors = export_tensors(adapter.state(), network, base.naming)
    adapter.remove()
    save_file(tensors, tmp_path / "a.safetensors")
    weights = read(tmp_path / "a.safetensors", base, NO_MODEL)  # type: ignore[arg-type]
    by_name = layers_in(tensors)
    modules = modules_of(base)  # type: ignore[arg-type]
    for layer, parts in weights.layers.tensors.items():  # type: ignore[union-attr]
        weight = modules[layer].weight
        wanted = loaded(weight, by_name[base.naming.in_file(layer)]) - weight.double()
        torch.testing.assert_close(change(parts, weight).double(), wanted, atol=2e-5, rtol=1e-3)


def test_what_is_not_applied_is_said(base: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    adapter, network = trained(base, "lora")
    tensors = export_tensors(adapter.state(), network, base.naming)
    adapter.remove()
    name = next(name for name in tensors if "ff_net_2.lora_up" in name).partition(".")[0]
    wide = next(name for name in tensors if "ff_net_0_proj.lora_up" in name)
    changed = {key: value for key, value in tensors.items() if key != f"{name}.lora_up.weight"}
    changed[wide] = torch.zeros(3, 2)
    changed["lora_unet_hyper_network.lora_up.weight"] = torch.zeros(2, 2)
    changed["lora_unet_input_blocks_4_1_transformer_blocks_7_ff_net_2.lora_up.weight"] = torch.zeros(8, 2)
    save_file(changed, path)
    weights = read(path, base, NO_MODEL)  # type: ignore[arg-type]
    count = len({key.partition(".")[0] for key in tensors})
    assert weights.notes[0] == f"{count - 2} of {count + 1} layers applied"
    said = "\n".join(weights.notes)
    assert f"{name}: lora_down.weight is no whole layer" in said and "of other sizes" in said
    assert "no such layer" in said and "lora_unet_hyper_network" in said

    save_file({"lora_unet_hyper_network.lora_up.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(UserError, match="none of its layers is for SDXL"):
        read(path, base, NO_MODEL)  # type: ignore[arg-type]
    save_file({**tensors, wide: torch.full((3, 2), torch.nan)}, path)
    with pytest.raises(UserError, match="hold NaN"):
        read(path, base, NO_MODEL)  # type: ignore[arg-type]


def test_copies_with_another_title_are_the_same_weights(tmp_path: Path) -> None:
    tensors = {"lora_unet_x.alpha": torch.tensor(1.0)}
    save_file(tensors, tmp_path / "a.safetensors", {"ss_output_name": "A"})
    save_file(tensors, tmp_path / "b.safetensors", {"ss_output_name": "another", "modelspec.date": "2026"})
    save_file({"lora_unet_x.alpha": torch.tensor(2.0)}, tmp_path / "c.safetensors")
    first, second, third = (weights_digest(tmp_path / f"{name}.safetensors") for name in "abc")
    assert first == second != third
    with pytest.raises(UserError, match="cannot be read"):
        weights_digest(tmp_path / "none.safetensors")
