"""A file that does not fit a run says what to set; set so, it fits."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lorasweep.adapters.adapter import build_adapter
from lorasweep.compose.overrides import parsed
from lorasweep.errors import UserError
from lorasweep.export.importing import adapter_state
from lorasweep.export.layers import read_layers
from lorasweep.export.weights import export_tensors, read_weights
from lorasweep.families.sdxl.naming import SDXLNaming
from lorasweep.schema import NetworkConfig

from ..adapters.tiny_sdxl import SDXL_BLOCKS, randomise, tiny_base
from .reading import state_in

NAMING = SDXLNaming.of(SDXL_BLOCKS)
FILES: dict[str, dict[str, Any]] = {
    "one size": {"rank": 4, "alpha": 1.5},
    "some layers": {"ranks": [r"attn2\.to_q:2/5", r"resnets.*\.conv[12]$|samplers:4/1"], "convolutions": True},
    "ranks that follow": {"ranks": ["attn2:4", "^text_encoder:1"]},
    "rslora": {"rslora": True, "rank": 3, "ranks": [r"\.ff\.:6/2"]},
    "loha": {"type": "loha", "rank": 2},
    "lokr": {"type": "lokr", "rank": 1, "ranks": ["proj_in:2"]},
    "dora": {"dora": True},
}


@pytest.fixture(scope="module")
def base() -> SimpleNamespace:
    return tiny_base()


def file_of(base: SimpleNamespace, network: NetworkConfig) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A file's tensors, and the state that they were written from, as the file's precision has it."""
    adapter = build_adapter(base, network, components=("unet", "text_encoder"), seed=0, name="v1")
    randomise(adapter)
    tensors = export_tensors(adapter.state(), network, NAMING)
    adapter.remove()
    return tensors, state_in(tensors, network, NAMING)


def cured(network: NetworkConfig, message: str) -> NetworkConfig:
    """The network after every override that a message offers."""
    for text in shlex.split(" ".join(re.findall(r": set (.*)", message))):
        override = parsed(text)
        assert override is not None, text
        group, _, key = override.key_or_group.partition(".")
        assert group == "network", text
        network = replace(network, **({key: override.value()} if key else {"type": override.value()}))
    return network


def changes(state: dict[str, Tensor], network: NetworkConfig) -> dict[str, Tensor]:
    """Each layer's update up to the base's weight: what a loader adds."""
    layers = {name.rpartition(".")[0] for name in state}
    tensors = export_tensors(state, network, NAMING)
    found = read_layers(tensors, NAMING).tensors
    assert found.keys() == layers
    return {
        layer: parts[".lora_up.weight"].float().flatten(1)
        @ parts[".lora_down.weight"].float().flatten(1)
        * (parts[".alpha"].item() / parts[".lora_down.weight"].shape[0])
        for layer, parts in found.items()
    }


@pytest.mark.parametrize(("kind", "run"), [*((kind, {}) for kind in FILES), ("one size", {"ranks": ["attn1:3/7"]})])
def test_a_cure_that_is_offered_cures(base: SimpleNamespace, kind: str, run: dict[str, Any]) -> None:
    trained = NetworkConfig(**{"rank": 2, "alpha": 3} | FILES[kind])
    tensors, state = file_of(base, trained)
    network = NetworkConfig(rank=16, alpha=8, rslora=trained.rslora, **run)
    for _ in range(3):  # kind, then sizes: each message says what it is about
        try:
            found = adapter_state(read_layers(tensors, NAMING), network)
            break
        except UserError as error:
            assert len(error.problems) == 1
            network = cured(network, str(error))
    assert found.keys() == state.keys()
    if trained.type == "lora" and not trained.dora:
        was, now = changes(state, trained), changes(found, network)
        assert all(torch.allclose(now[layer], was[layer], rtol=0.01, atol=1e-3) for layer in was)


def test_too_many_sizes_are_told(base: SimpleNamespace) -> None:
    tensors, _ = file_of(base, NetworkConfig(rank=2, alpha=3))
    for number, name in enumerate(sorted(name for name in tensors if name.endswith(".alpha"))):
        tensors[name] = torch.tensor(1.0 + number)
    with pytest.raises(UserError, match=r"too many for network\.ranks; resize it to one rank with sd-scripts"):
        state_in(tensors, NetworkConfig(rank=2, alpha=3), NAMING)


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        (b'{"ss_network_dim": 8}', {"ss_network_dim": "8"}),
        (b'{"a": null, "b": {"c": [1]}, "d": true}', {"a": "null", "b": '{"c": [1]}', "d": "true"}),
        (b'{"ss_output_name": "caf\xe9"}', {"ss_output_name": "caf\ufffd"}),
        (b'{"ss_output_name": "\\ud800"}', {"ss_output_name": "?"}),
        (b"null", {}),
        (b'["x"]', {}),
    ],
)
def test_metadata_that_is_no_text_is_read(tmp_path: Path, about: bytes, expected: dict[str, str]) -> None:
    from safetensors.torch import save

    content = save({"a": torch.arange(3.0)})
    start = 8 + int.from_bytes(content[:8], "little")
    header = b'{"__metadata__":' + about + b"," + content[8:start].rstrip()[1:]
    header += b" " * (-len(header) % 8)
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[start:])
    tensors, metadata = read_weights(path)
    assert metadata == expected
    assert tensors["a"].tolist() == [0, 1, 2]
