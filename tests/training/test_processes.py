"""How a step is dealt out and put together again; whole launches are in tests/end_to_end/test_processes.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lorasweep.bases.sdxl import SDXL
from lorasweep.config import Config
from lorasweep.training import processes
from lorasweep.training.setup import read_data


def test_gradients_travel_in_chunks_of_every_parameter_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CHUNK", 10)
    parameters = [nn.Parameter(torch.zeros(size)) for size in (4, 4, 4, 25, 1, 9, 1)]
    groups = list(processes._chunks(parameters))
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
    assert all(share.company == batch.captions for share in shares), "padded as the whole batch is"
    assert not batch.share(5, 6).rows
