"""The weights file holds the trained weight change; what cannot be written or read gets one clear line."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorasweep.adapters.lora import LoraAdapter
from lorasweep.errors import UserError
from lorasweep.export.weights import export_tensors, read_weights, write_weights
from lorasweep.families.sdxl.names import UNetLayout, module_path
from lorasweep.families.sdxl.naming import SDXLNaming
from lorasweep.families.weights_files import read_header
from lorasweep.schema import NetworkConfig

from ..adapters.tiny_sdxl import SDXL_BLOCKS, full_size_base, randomise, tiny_base
from .reading import state_in

NAMING = SDXLNaming.of(SDXL_BLOCKS)
NETWORK = NetworkConfig(rank=8, alpha=3, convolutions=True)
ALL = ("unet", "text_encoder", "text_encoder_2")


@pytest.fixture(scope="module")
def trained() -> tuple[SimpleNamespace, LoraAdapter, dict[str, torch.Tensor]]:
    base = tiny_base()
    adapter = LoraAdapter(base, NETWORK, components=ALL, seed=0, name="v1")
    randomise(adapter)
    return base, adapter, export_tensors(adapter.state(), NETWORK, base.naming)


def weight_change(tensors: dict[str, torch.Tensor], module: str) -> torch.Tensor:
    """alpha / rank * up @ down, as every loader computes it."""
    down, up = tensors[f"{module}.lora_down.weight"].double(), tensors[f"{module}.lora_up.weight"].double()
    scale = tensors[f"{module}.alpha"].item() / down.shape[0]
    return scale * (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])


def test_the_file_holds_the_trained_weight_change(trained) -> None:
    base, _, tensors = trained
    layout = UNetLayout.of(SDXL_BLOCKS)
    shapes = set()
    for module in sorted({name.partition(".")[0] for name in tensors}):
        component, _, path = module_path(module, layout).partition(".")
        if component == "text_encoder":
            path = path.removeprefix("text_model.")  # where transformers 5 keeps it
        layer = base.modules[component].get_submodule(path)
        expected = layer.get_delta_weight(layer.active_adapters[0]).detach().double()
        change = weight_change(tensors, module)
        assert change.shape == layer.weight.shape
        # fp16 rounds each factor by at most 2**-11 of it
        absolute = {name: tensor.abs() for name, tensor in tensors.items()}
        bound = weight_change(absolute, module) * 2**-10 + 1e-6
        assert ((change - expected).abs() <= bound).all()
        assert expected.abs().max() > 100 * bound.median()
        shapes.add((component, expected.dim()))
    assert shapes == {("unet", 2), ("unet", 4), ("text_encoder", 2), ("text_encoder_2", 2)}


def test_every_module_has_three_tensors_of_kohyas_shapes(trained) -> None:
    _, adapter, tensors = trained
    assert len(tensors) == 3 * len(adapter.named_parameters()) / 2
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert {(t.dim(), t.item()) for name, t in tensors.items() if name.endswith(".alpha")} == {(0, 3.0)}
    assert tensors["lora_unet_input_blocks_3_0_op.lora_down.weight"].shape == (8, 8, 3, 3)
    assert tensors["lora_unet_input_blocks_3_0_op.lora_up.weight"].shape == (8, 8, 1, 1)
    assert tensors["lora_te2_text_model_encoder_layers_2_mlp_fc1.lora_up.weight"].shape == (32, 8)


def test_an_alpha_that_fp16_would_round_keeps_its_value() -> None:
    network = NetworkConfig(rank=1, alpha=1.2)
    state = {"text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A": torch.zeros(1, 2)}
    state["text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_B"] = torch.zeros(2, 1)
    tensors = export_tensors(state, network, NAMING)
    assert tensors["lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha"].item() == pytest.approx(1.2, rel=1e-7)
    assert state_in(tensors, network, NAMING).keys() == state.keys()


@pytest.mark.parametrize(("rank", "whole", "unet"), [(8, 57.0, 42.6), (16, 114.0, 85.1), (32, 228.0, 170.2)])
def test_a_full_size_file_holds_what_kohyas_does(rank: int, whole: float, unet: float, tmp_path: Path) -> None:
    base = full_size_base()
    adapter = LoraAdapter(base, NetworkConfig(rank=rank, alpha=4), components=ALL, seed=0, name="v1")
    modules = {name.rpartition(".")[0] for name in adapter.named_parameters()}
    assert (len(modules), len({name for name in modules if name.startswith("unet.")})) == (986, 722)
    # One number stands for all of a tensor: the file is as large, the memory it is written from is not.
    state = {name: torch.zeros(()).expand(p.shape) for name, p in adapter.named_parameters().items()}
    numbers = {part: sum(t.numel() for n, t in state.items() if n.startswith(f"{part}.")) for part in ALL}
    per_rank = {"unet": 2_659_840, "text_encoder": 165_888, "text_encoder_2": 737_280}
    assert numbers == {part: rank * count for part, count in per_rank.items()}
    size = 2 * sum(numbers.values())
    assert (round(size / 1e6, 1), round(2 * numbers["unet"] / 1e6, 1)) == (whole, unet)  # MB
    if rank == 8:
        write_weights(
            tmp_path / "v1.safetensors",
            export_tensors(state, NetworkConfig(rank=rank, alpha=4), base.naming),
            {},
        )
        header, start = read_header(tmp_path / "v1.safetensors")
        assert len(header) == 2958
        assert (tmp_path / "v1.safetensors").stat().st_size - start == size + 986 * 2  # and the alphas


def test_write_and_read_give_the_same_and_import_gives_the_state(trained, tmp_path: Path) -> None:
    base, adapter, tensors = trained
    path = tmp_path / "new" / "Bear_v6.safetensors"
    write_weights(path, tensors, {"ss_seed": "1", "other": "ä"})
    assert list(path.parent.iterdir()) == [path]
    read, metadata = read_weights(path)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in read)
    assert metadata["ss_seed"] == "1"
    assert metadata["other"] == "ä"
    assert len(metadata["sshs_model_hash"]) == 64
    state, trained_state = state_in(read, NETWORK, base.naming), adapter.state()
    assert state.keys() == trained_state.keys()
    assert all(torch.equal(state[name], trained_state[name].half().float()) for name in state)


def test_importing_what_does_not_fit_says_what_to_set(trained) -> None:
    _, _, tensors = trained
    with pytest.raises(UserError, match=r"network\.rank=8 network\.alpha=3"):
        state_in(tensors, NetworkConfig(rank=8, alpha=8), NAMING)
    with pytest.raises(UserError, match=r"network\.rank=8"):
        state_in(tensors, NetworkConfig(rank=4, alpha=3), NAMING)
    without_alpha = {name: tensor for name, tensor in tensors.items() if not name.endswith(".alpha")}
    state_in(without_alpha, NetworkConfig(rank=8, alpha=8), NAMING)  # no alpha means alpha = rank
    name = "lora_unet_middle_block_1_proj_in"
    with pytest.raises(UserError, match=f"{name} lacks"):
        state_in({k: t for k, t in tensors.items() if k != f"{name}.lora_up.weight"}, NETWORK, NAMING)
    with pytest.raises(UserError, match="hada_w1_a"):
        state_in(tensors | {f"{name}.hada_w1_a": torch.zeros(1)}, NETWORK, NAMING)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 70_000.0])
def test_values_that_are_not_finite_are_never_written(trained, tmp_path: Path, value: float) -> None:
    base, adapter, tensors = trained
    path = tmp_path / "Bear_v6.safetensors"
    write_weights(path, tensors, {})
    before = path.read_bytes()
    state = adapter.state()
    state["unet.mid_block.attentions.0.proj_in.lora_B"][0, 0] = value  # 70,000 is infinite in fp16
    with pytest.raises(UserError, match=r"- 1 of .* lora_unet_middle_block_1_proj_in\.lora_up\.weight.*diverged"):
        write_weights(path, export_tensors(state, NETWORK, base.naming), {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unreadable_files_get_one_clear_line_each(trained, tmp_path: Path) -> None:
    _, _, tensors = trained
    whole = tmp_path / "whole.safetensors"
    write_weights(whole, tensors, {})
    damaged = {
        "cut.safetensors": whole.read_bytes()[:-100],
        "empty.safetensors": b"",
        "text.safetensors": b"<html>404 not found, this is no model</html>",
        "header.safetensors": whole.read_bytes()[:20],
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name} cannot be read .*\n.*damaged.*again") as caught:
            read_weights(tmp_path / name)
        assert len(caught.value.problems) == 1
        assert "\n" not in caught.value.problems[0]
    with pytest.raises(UserError, match="no such file"):
        read_weights(tmp_path / "missing.safetensors")
    with pytest.raises(UserError, match="no such file"):
        read_weights(tmp_path)


def test_pickles_are_refused_with_a_command_that_converts_them(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    path = tmp_path / "it's my model.CKPT"
    torch.save({"state_dict": {"a": weight.T, "b": weight[0], "step": 3}}, path)
    with pytest.raises(UserError) as caught:
        read_weights(path)
    command = caught.value.problems[0].partition("Convert it with: ")[2]
    assert command.startswith("python -c ")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(command, shell=True, check=True, env=environment)
    converted = load_file(tmp_path / "it's my model.safetensors")
    assert torch.equal(converted["a"], weight.T)
    assert torch.equal(converted["b"], weight[0])
    for suffix in (".pt", ".pth", ".bin"):
        with pytest.raises(UserError, match="pickles"):
            read_weights(tmp_path / f"model{suffix}")


def test_a_file_without_metadata_reads(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    assert read_weights(tmp_path / "a.safetensors")[1] == {}
