"""How a step is dealt out and put together again; whole launches are in tests/end_to_end/test_processes.py."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState
from torch import nn

from lorasweep.families.device import open_accelerator
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config, TrainingConfig
from lorasweep.training.hardware import distributed
from lorasweep.training.hardware.distributed import LostProcessError, Processes
from lorasweep.training.start.setup import read_data


def test_gradients_travel_in_chunks_of_every_parameter_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "CHUNK", 10)
    parameters = [nn.Parameter(torch.zeros(size)) for size in (4, 4, 4, 25, 1, 9, 1)]
    groups = list(distributed._chunks(parameters))
    assert [parameter for group in groups for parameter in group] == parameters
    assert [sum(parameter.numel() for parameter in group) for group in groups] == [8, 4, 25, 10, 1]


def test_a_batch_is_dealt_out_row_by_row(short_config: Config, toy_base: SDXL) -> None:
    short_config.training.batch_size = 3
    dataset, _ = read_data(short_config, toy_base)
    batch = dataset.batch(dataset.plan.batches(0)[0])
    shares = [batch.share(rank, 2) for rank in (0, 1)]
    assert [len(share.rows) for share in shares] == [2, 1]
    assert shares[0].rows + shares[1].rows == [batch.rows[0], batch.rows[2], batch.rows[1]]
    assert torch.equal(shares[1].latents[0], batch.latents[1]) and shares[1].captions == [batch.captions[1]]
    assert all(share.pad_to == batch.captions for share in shares), "padded as the whole batch is"
    assert not batch.share(5, 6).rows


def launched(actions: Sequence[Callable[[Processes], str]], folder: Path) -> list[str]:
    """Run one action in each of several connected processes; return what each gave, or "gone" where it died."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank, action in enumerate(actions):
        child = os.fork()
        if not child:
            try:
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(len(actions))}
                os.environ |= {
                    "LOCAL_WORLD_SIZE": str(len(actions)),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                }
                AcceleratorState._reset_state(reset_partial_state=True)
                (folder / str(rank)).write_text(action(Processes(open_accelerator(TrainingConfig()))))
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    found = [folder / str(rank) for rank in range(len(actions))]
    return [path.read_text() if path.exists() else "gone" for path in found]


def stepping(failure: Exception | None = None, *, dies: bool = False) -> Callable[[Processes], str]:
    """What a process does in a step, and what it says of it."""

    def step(processes: Processes) -> str:
        try:
            with processes.together():
                if dies:
                    os._exit(1)
                if failure is not None:
                    raise failure
            weight = nn.Parameter(torch.zeros(3))
            weight.grad = torch.full((3,), float(1 + processes.rank))
            without_rows = nn.Parameter(torch.zeros(1))  # this process had none in the step, or the layer no part
            if processes.rank == 0:
                without_rows.grad = torch.ones(1)
            processes.add_up_gradients([weight, without_rows])
            assert without_rows.grad is not None
            return str(weight.grad.tolist() + without_rows.grad.tolist())
        except Exception as error:
            return f"{type(error).__name__}: {error}, apart: {processes.apart}"

    return step


def test_a_step_is_done_by_all_or_fails_on_all(tmp_path: Path) -> None:
    def said(*actions: Callable[[Processes], str]) -> list[str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return launched(actions, folder)

    assert said(stepping(), stepping()) == ["[3.0, 3.0, 3.0, 1.0]"] * 2
    overflow = torch.OutOfMemoryError("CUDA out of memory")
    mine, told = said(stepping(overflow), stepping())
    assert mine == "OutOfMemoryError: CUDA out of memory, apart: False"
    assert told == "OutOfMemoryError: process 0: OutOfMemoryError: CUDA out of memory, apart: False"
    told, mine = said(stepping(), stepping(RuntimeError("a bad cable")))
    assert (told, mine) == (
        "PeerError: process 1: RuntimeError: a bad cable, apart: False",
        "RuntimeError: a bad cable, apart: False",
    )
    both = said(stepping(ValueError("one")), stepping(ValueError("other")))
    assert [line.partition(",")[0] for line in both] == ["ValueError: one", "ValueError: other"]
    lost, gone = said(stepping(), stepping(dies=True))
    assert gone == "gone" and lost.startswith("LostProcessError") and lost.endswith("apart: True")


def test_the_first_process_is_done_before_another_begins(tmp_path: Path) -> None:
    def caching(processes: Processes) -> str:
        with processes.together(), processes.main_first():
            found = (tmp_path / "cached").exists()
            time.sleep(0 if found else 0.2)  # another process that did not wait would find nothing either
            (tmp_path / "cached").touch()
        return f"{found}, {processes.total(torch.tensor(1.0 + processes.rank)).item()}"

    assert launched([caching, caching], tmp_path) == ["False, 3.0", "True, 3.0"]


def test_after_a_loss_each_process_goes_on_with_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: list[object]) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(distributed, "broadcast_object_list", closed)
    one = Processes(SimpleNamespace(process_index=0, num_processes=2))  # type: ignore[arg-type]
    with pytest.raises(LostProcessError):
        one.broadcast("a step")
    assert one.apart
    assert one.broadcast("mine") == "mine"
