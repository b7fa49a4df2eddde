"""A checkout in which the commands of the documents are run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lorasweep.data.providers import write_set

from ..warm import Warm
from .pages import ROOT


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a checkout has, with the photographs that the pages speak of."""
    folder = tmp_path_factory.mktemp("documents") / "lorasweep"
    for name in ("conf", "src", "sweeps"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("train.py", "Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    for theme, place in (("fuzzybear", "sage"), ("food", "food"), ("humanoid", "humanoids")):
        write_set(theme, folder / "photos" / place, count=5)
    for caption in (folder / "photos" / "sage").glob("*.txt"):
        caption.write_text(f"sage_character, {caption.read_text()}")
    (folder.parent / "ComfyUI" / "models" / "loras").mkdir(parents=True)
    (folder.parent / "ComfyUI" / "models" / "loras" / "nice_hands.safetensors").touch()
    (folder / "old").mkdir()
    layer = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
    weights = {"lora_down.weight": torch.ones(8, 640), "lora_up.weight": torch.ones(640, 8), "alpha": torch.tensor(4.0)}
    told = {"ss_network_dim": "8", "ss_network_alpha": "4", "ss_network_module": "networks.lora", "ss_unet_lr": "1e-4"}
    save_file({f"{layer}.{key}": tensor for key, tensor in weights.items()}, folder / "old" / "Sage.safetensors", told)
    return folder


@pytest.fixture(scope="session")
def warm(checkout: Path) -> Iterator[Warm]:
    process = Warm(checkout)
    yield process
    process.close()


@pytest.fixture
def place(checkout: Path) -> Iterator[Path]:
    """The checkout as it was before any command."""
    recipes = set((checkout / "conf").rglob("*.yaml"))
    yield checkout
    shutil.rmtree(checkout / "outputs", ignore_errors=True)
    for added in set((checkout / "conf").rglob("*.yaml")) - recipes:
        added.unlink()
