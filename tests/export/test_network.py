"""The adapter in the metadata as sd-scripts and LyCORIS name it, and read back from their files."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lorasweep.adapters.adapter import build_adapter
from lorasweep.export.layers import read_layers
from lorasweep.export.metadata import metadata
from lorasweep.export.network import network_metadata
from lorasweep.export.sd_scripts import settings_of
from lorasweep.export.weights import export_tensors
from lorasweep.families.sdxl.naming import USUAL
from lorasweep.schema import NetworkConfig

from ..adapters.tiny_sdxl import tiny_base
from .test_metadata import FACTS, config

NETWORKS: list[dict[str, Any]] = [
    {},
    {"rank_dropout": 0.1, "module_dropout": 0.2, "dropout": 0.3, "max_norm": 1.5},
    {"convolutions": True, "ranks": [r"resnets.*\.conv[12]$|samplers:3/1"]},
    {"ranks": [r"\.attn[12]\.:2/4", "^text_encoder:8/2"]},
    {"dora": True},
    {"rslora": True, "ranks": [r"\.ff\.:9/3"]},
    {"type": "loha", "convolutions": True, "tucker": True, "module_dropout": 0.1},
    {"type": "lokr", "factor": 4, "decompose_both": True, "rank": 1},
]


@pytest.fixture(scope="module")
def base() -> SimpleNamespace:
    return tiny_base()


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_written_reads_back(base: SimpleNamespace, network: dict[str, Any]) -> None:
    settings = config()
    settings.network = NetworkConfig(**{"rank": 4, "alpha": 2} | network)
    adapter = build_adapter(base, settings.network, components=("unet", "text_encoder"), seed=0, name="v1")
    tensors = export_tensors(adapter.state(), settings.network, base.naming)
    adapter.remove()
    read = settings_of("file", metadata(settings, FACTS), read_layers(tensors, USUAL))
    found = {key.removeprefix("network."): value for key, value in read.settings.items() if key.startswith("network.")}
    assert NetworkConfig(**found) == settings.network
    assert not any("network" in note for note in read.notes)


def test_modules_and_arguments_have_their_names() -> None:
    plain = network_metadata(NetworkConfig(convolutions=True, rank_dropout=0.1, max_norm=1.0))
    assert (plain["ss_network_module"], plain["ss_scale_weight_norms"]) == ("networks.lora", 1.0)
    assert plain["ss_network_args"] == {"conv_dim": "16", "conv_alpha": "8.0", "rank_dropout": "0.1"}
    lokr = network_metadata(NetworkConfig(type="lokr", factor=8))
    assert lokr["ss_network_module"] == "lycoris.kohya"
    assert lokr["ss_network_args"] == {"algo": "lokr", "factor": "8"}
    dora = network_metadata(NetworkConfig(dora=True))["ss_network_args"]
    assert dora == {"algo": "lora", "dora_wd": "True", "wd_on_output": "False"}
    assert network_metadata(NetworkConfig(type="full")) == {}


def test_what_is_not_done_here_becomes_a_note() -> None:
    name = "lora_unet_middle_block_1_proj_in"
    tensors = {f"{name}.lora_down.weight": torch.zeros(8, 4), f"{name}.dora_scale": torch.zeros(4, 1)}
    arguments = {
        "use_tucker": "True",
        "algo": "locon",
        "train_norm": "True",
        "loraplus_lr_ratio": "4",
        "rank_dropout": "x",
    }
    told = {"ss_network_args": json.dumps(arguments | {"rank_dropout": None})}
    about = settings_of("file", told, read_layers(tensors, USUAL))
    assert about.settings["network.dora"] and "network.tucker" not in about.settings
    assert (about.settings["network.rank"], about.settings["network.alpha"]) == (8, 8.0)
    assert [note.split(":")[0] for note in about.notes if "ss_network_args" in note or "DoRA" in note] == [
        "ss_network_args use_tucker=True",
        "ss_network_args train_norm=True",
        "its DoRA",
    ]
    about = settings_of("file", {"ss_network_args": json.dumps(arguments)}, read_layers(tensors, USUAL))
    assert "could not be read" in about.notes[0]
