"""What the computer's memory cannot hold is refused before any of it is taken."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from lorasweep.adapters.adapter import build_adapter
from lorasweep.errors import UserError
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.training.memory import host as room

from ...training_on import run

GIB = 2**30


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A machine without a container, whose free bytes can be set."""
    machine = SimpleNamespace(available=8 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)
    monkeypatch.setattr(room, "CGROUP", tmp_path / "none")
    return machine


def test_a_rank_that_nothing_can_hold_is_refused_at_once_and_the_cure_fits(
    free: SimpleNamespace, short_config: Config, toy_base: SDXL
) -> None:
    before = psutil.Process().memory_info().rss
    short_config.network.rank = 100_000
    with pytest.raises(UserError, match=r"network\.rank=100000 needs .* and 8\.0 GiB are free") as told:
        run(short_config, base=toy_base)
    assert psutil.Process().memory_info().rss - before < GIB, "nothing was taken to find out"
    assert not list(Path(short_config.output_root).glob("fuzzybear/v*")), "and no version number"
    cure = re.search(r"network\.rank=(\d+) would fit", str(told.value))
    assert cure
    short_config.network.rank = int(cure[1])
    room.check_host_memory(short_config, toy_base)


def test_it_counts_what_is_there(free: SimpleNamespace, short_config: Config, toy_base: SDXL) -> None:
    short_config.optimizer.name = "adamw"
    adapter = build_adapter(toy_base, short_config.network, components=("unet", "text_encoder"), seed=0, name="counted")
    short_config.optimizer.text_encoder_2_lr = 0.0
    count = sum(parameter.numel() for parameter in adapter.named_parameters().values())
    adapter.remove()
    assert room.host_bytes(short_config, toy_base) == pytest.approx(4 * count * 7, rel=0.01), "4 copies, 3 saved"
    full = replace(short_config, network=replace(short_config.network, type="full"))
    free.available = room.host_bytes(full, toy_base) - 1
    with pytest.raises(UserError, match=r"network=full needs .*optimizer=adafactor"):
        room.check_host_memory(full, toy_base)
    lean = replace(full.optimizer, name="adafactor", beta1=None, beta2=None, eps=None)
    room.check_host_memory(replace(full, optimizer=lean), toy_base)
    room.check_host_memory(short_config, toy_base)  # network=lora


def test_a_containers_limit_counts(free: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    (tmp_path / "memory.stat").write_text(f"anon {GIB}\nfile {5 * GIB}\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert room.free_bytes() == 8 * GIB
    (tmp_path / "memory.max").write_text(f"{3 * GIB}\n")
    assert room.free_bytes() == 2 * GIB, "what files keep of it can be had"
