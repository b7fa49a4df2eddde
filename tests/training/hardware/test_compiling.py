"""training.compile: the same losses from compiled blocks, in every version of a process, and in steps alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from lorasweep.families.device import open_accelerator
from lorasweep.families.sdxl.model import SDXL
from lorasweep.schema import Config
from lorasweep.training.hardware import compiling
from lorasweep.training.loop import train_step
from lorasweep.training.model import Model
from lorasweep.training.start.setup import read_data
from lorasweep.training.version import Version


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")  # inductor's C++ would take a minute and more
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


def graphs() -> int:
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def compiled(unet: UNet2DConditionModel) -> int:
    return sum(block._compiled_call_impl is not None for block in unet.modules())


def losses_of(config: Config, base: SDXL, steps: int = 3) -> list[float]:
    dataset, text = read_data(config, base)
    version = Version(config, 1, base, dataset, text, open_accelerator(config.training))
    try:
        found = [train_step(version).loss for _ in range(steps)]
        with version.adapter.disabled(), torch.no_grad():
            before = graphs()
            batch = dataset.batch(version.plan.batches(0)[0])
            noisy = version.objective.noise(batch, version.step, 0)
            found.append(version.objective.loss(version.objective.predict(noisy), noisy).mean().item())
            assert graphs() == before, "what is measured runs as written"
        return found
    finally:
        version.remove()


def test_compiled_blocks_give_the_same_losses(
    short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    eager = losses_of(short_config, toy_base)
    assert graphs() == 0
    short_config.training.compile = True
    seen = []
    embed = Model.embed

    def counting(self: Model, *captions: list[str]) -> object:
        seen.append(compiled(self.base.unet))
        return embed(self, *captions)

    monkeypatch.setattr(Model, "embed", counting)
    assert losses_of(short_config, toy_base) == pytest.approx(eager, rel=1e-5)
    blocks = sum(type(module).__name__ == "BasicTransformerBlock" for module in toy_base.unet.modules())
    assert seen == [blocks] * 3 + [0] and blocks > 0, "in steps, and not where is measured"
    assert graphs() > 0 and not compiled(toy_base.unet)


def test_a_block_that_cannot_be_compiled_leaves_the_others_as_written(
    short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile, seen = nn.Module.compile, []

    def failing(self: nn.Module, **options: object) -> None:
        if len(seen) == 2:
            raise RuntimeError("torch.compile is not supported here")
        seen.append(self)
        compile(self, **options)

    monkeypatch.setattr(nn.Module, "compile", failing)
    with pytest.raises(RuntimeError, match="not supported"):
        compiling.CompiledBlocks(toy_base.repeated_blocks())
    assert len(seen) == 2 and not compiled(toy_base.unet)


def test_every_version_of_a_process_runs_compiled(
    short_config: Config, toy_base: SDXL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    short_config.training.compile = True
    losses_of(short_config, toy_base, steps=1)
    first = graphs()
    monkeypatch.setattr(compiling, "LIMIT", first)  # no more than one version needs
    losses_of(short_config, toy_base, steps=2)
    assert graphs() == 2 * first > 0, "a second step compiles nothing anew"
    assert torch._dynamo.config.recompile_limit == 8, "torch's own, outside of steps"
