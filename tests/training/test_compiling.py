"""training.compile: the same losses from compiled blocks, and nothing compiled afterwards."""

from __future__ import annotations

import pytest
import torch

from lorasweep.bases.sdxl import SDXL
from lorasweep.config import Config
from lorasweep.training import compiling
from lorasweep.training.device import open_accelerator
from lorasweep.training.setup import read_data
from lorasweep.training.version import Version


def losses_of(config: Config, base: SDXL) -> list[float]:
    dataset, text = read_data(config, base)
    version = Version(config, 1, base, dataset, text, open_accelerator(config.training))
    try:
        found = [version.train_step().loss for _ in range(3)]
        with version.adapter.disabled(), torch.no_grad():  # the bare base is another graph
            batch = dataset.batch(version.plan.batches(0)[0])
            found.append(version.losses(batch, 0).mean().item())
        return found
    finally:
        version.remove()


def test_compiled_blocks_give_the_same_losses(
    short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")  # inductor's C++ would take a minute and more
    eager = losses_of(short_config, toy_base)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    short_config.training.compile = True
    seen = []
    embed = Version.embed
    monkeypatch.setattr(
        Version,
        "embed",
        lambda self, *a: (seen.append(len(list(compiling.compiled_blocks(self.base.unet)))), embed(self, *a))[1],
    )
    assert losses_of(short_config, toy_base) == pytest.approx(eager, rel=1e-5)
    blocks = sum(type(module).__name__ == "BasicTransformerBlock" for module in toy_base.unet.modules())
    assert set(seen) == {blocks} and blocks > 0
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0, "nothing was compiled"
    assert not list(compiling.compiled_blocks(toy_base.unet))
