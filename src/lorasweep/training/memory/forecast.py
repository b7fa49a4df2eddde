"""What is said of a run's memory before it starts, and which settings would save how much of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lorasweep.families.base import Base
from lorasweep.optim.optimizers.kind import optimizer_kind
from lorasweep.schema import Config, schema_keys
from lorasweep.text.exceptions import first_line
from lorasweep.training.memory.estimate import estimate, gib


@dataclass(frozen=True)
class Saving:
    """Settings that lower the peak.

    Attributes:
        overrides: as on a command line, such as `training.gradient_checkpointing=true`.
        bytes: by how much; None where that is not known.
    """

    overrides: tuple[str, ...]
    bytes: int | None

    def explain(self) -> str:
        """Return it in words: `training.batch_size=2 (saves about 7.2 GiB)`."""
        return " ".join(self.overrides) + ("" if self.bytes is None else f" (saves about {gib(self.bytes)})")

    @property
    def free(self) -> bool:
        """Whether a version that has begun can go on with them: none decides what is learnt."""
        keys = schema_keys()
        names = [override.partition("=")[0] for override in self.overrides]
        return all(name in keys and keys[name].resume == "free" for name in names)


def forecast(config: Config, base: Base, available: int) -> str:
    """Return the line that is printed before the first step: the estimate, and what to do where it will not fit.

    Args:
        config: the whole config.
        base: loaded.
        available: bytes of the GPU's memory that this process can have.
    """
    try:
        expected = estimate(config, base)
    except Exception as error:  # a forecast must not keep a run from starting
        return f"GPU memory: could not be estimated ({first_line(error)})"
    line = f"GPU memory: {expected.explain()}; {gib(available)} are free"
    if expected.total <= available:
        return line
    helpful = ", ".join(saving.explain() for saving in best_savings(config, base))
    return f"{line}: it may not fit. What helps most: {helpful}"


def best_savings(config: Config, base: Base, phase: str | None = None) -> list[Saving]:
    """Return the three best of `savings`; none where they cannot be foretold, as who asks has an error to tell."""
    try:
        return savings(config, base, phase)[:3]
    except Exception:
        return []


def savings(config: Config, base: Base, phase: str | None = None) -> list[Saving]:
    """Return the settings that would lower the peak, the best first; only those that would.

    Args:
        config: the whole config.
        base: loaded, packed or not.
        phase: the peak of that phase alone, as `Memory.during` has it; None is that of the whole run.
    """

    def peak(of: Config) -> int:
        memory = estimate(of, base)
        return memory.total if phase is None else memory.during(phase)

    now = peak(config)
    found = {overrides: now - peak(changed) for overrides, changed in _variants(config)}
    if phase == "sample":
        found["sampling.every_epochs=0",] = now - estimate(config, base).during("evaluate")
    falling = sorted(found.items(), key=lambda pair: -pair[1])
    return [Saving(overrides, saved) for overrides, saved in falling if saved > 0]


def _variants(config: Config) -> Iterator[tuple[tuple[str, ...], Config]]:
    """Yield settings that may save memory, and the config that has them."""
    training, optimizer, data = config.training, config.optimizer, config.dataset
    lean = replace(training, gradient_checkpointing=True)
    yield ("training.gradient_checkpointing=true",), replace(config, training=lean)
    if half := training.batch_size // 2:
        accumulation = training.gradient_accumulation * 2
        overrides = f"training.batch_size={half}", f"training.gradient_accumulation={accumulation}"
        yield overrides, replace(config, training=replace(training, batch_size=half))
    if name := optimizer_kind(optimizer.name).smaller:
        yield (f"optimizer={name}",), replace(config, optimizer=replace(optimizer, name=name))
    if smaller := data.resolution * 3 // 4 // 64 * 64:
        yield (f"dataset.resolution={smaller}",), replace(config, dataset=replace(data, resolution=smaller))
    if training.ema_decay is not None:
        yield ("training.ema_decay=null",), replace(config, training=replace(training, ema_decay=None))
    if not training.offload_idle:
        yield ("training.offload_idle=true",), replace(config, training=replace(training, offload_idle=True))
    for kind in config.network.quantizations:
        packed = replace(config.base_model, quantization=kind)
        yield (f"base_model.quantization={kind}",), replace(config, base_model=packed)
    if config.network.rank > 8 and config.network.type != "full":
        rank = config.network.rank // 2
        yield (f"network.rank={rank}",), replace(config, network=replace(config.network, rank=rank))
