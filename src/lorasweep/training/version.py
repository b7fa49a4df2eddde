"""One version in training: its model, its state, its data and its objective, as every process of a launch has them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path

from accelerate import Accelerator
from torch import nn

from lorasweep.adapters.adapter import build_adapter
from lorasweep.data.batch import Batch
from lorasweep.data.dataset import Dataset
from lorasweep.data.text import TextCache
from lorasweep.families.base import Base
from lorasweep.families.parts import learning_rates
from lorasweep.process import losses
from lorasweep.schema import Config, slug
from lorasweep.training.hardware.compiling import CompiledBlocks
from lorasweep.training.hardware.distributed import Processes
from lorasweep.training.hardware.idle import idle_parts
from lorasweep.training.model import Model
from lorasweep.training.objectives.denoising import Denoising
from lorasweep.training.objectives.objective import Objective
from lorasweep.training.start.starting_point import load_start
from lorasweep.training.train_state import TrainState


class Version:
    """One version, put on its base. A cohort holds several; nothing here knows of the others.

    Args:
        config: the whole config.
        number: N of vN; 0 while it has none.
        base: the frozen model.
        dataset: its images and plan.
        text_cache: encoded captions, while the text encoders are frozen.
        accelerator: device, precision and, in fp16, this version's own loss scale.
        begun: whether it goes on from a saved state, which holds all that `network.start_from` gave.

    Attributes:
        adapter: what it adds to the base.
        model: the base with the adapter on it, for who asks for predictions.
        objective: what it is trained for.
        state: what training changes.
        processes: those that step it together.
        started_from: SHA-256 of the file that `network.start_from` named, or None.

    Raises:
        UserError: the settings do not suit the base or the file to start from; nothing of it stays on the base.
    """

    def __init__(
        self,
        config: Config,
        number: int,
        base: Base,
        dataset: Dataset,
        text_cache: TextCache,
        accelerator: Accelerator,
        *,
        begun: bool = False,
    ) -> None:
        self.config, self.number, self.base, self.dataset = config, number, base, dataset
        self.accelerator, self.plan, self.begun = accelerator, dataset.plan, begun
        self.processes = Processes(accelerator)
        self.blocks: CompiledBlocks | None = None
        self.started_from: str | None = None
        rates = learning_rates(base.family.parts, config.optimizer)
        self.components = tuple(rates)
        base.offloader.offload(idle_parts(config, base.family))
        # The number may come later; of all that is on the base at one time, this tells it apart.
        name = f"{slug(config.name)} {id(self)}"
        self.adapter = build_adapter(base, config.network, components=self.components, seed=config.seed, name=name)
        try:
            self.model = Model(config, base, self.adapter, text_cache, accelerator)
            self.objective: Objective = Denoising(config, self.model)
            if not begun:
                self.start()
            self.state = TrainState(config, self.adapter, accelerator, rates, self.plan.total_steps)
            self._checkpointing(True)
            if config.training.compile:
                self.blocks = CompiledBlocks(base.repeated_blocks())
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Give the new adapter the values of the file that `network.start_from` names, if there is one.

        Raises:
            UserError: the file does not suit the settings.
        """
        self.started_from = load_start(self.adapter, self.config.network, self.base.naming)

    @property
    def step(self) -> int:
        """Optimizer steps taken."""
        return self.state.step

    def join(self, number: int, folder: Path | None, step: int) -> None:
        """Stand where the first process's version does.

        Args:
            number: N of vN.
            folder: its folder.
            step: optimizer steps that its state has; 0 without one.

        Raises:
            UserError: the state cannot be read here.
        """
        self.number = number
        if step and folder is not None:
            self.state.load(folder)
        elif self.begun:  # there was a state, but not one to go on from
            self.start()

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        return self.epochs_at(self.step)

    def epochs_at(self, step: int) -> int:
        """Return how many epochs are complete after `step` optimizer steps."""
        return bisect_right(self.plan.epoch_ends, step)

    @property
    def epoch_ends(self) -> bool:
        """Whether the last step was the last of an epoch."""
        return self.step in self.plan.epoch_ends

    @property
    def finished(self) -> bool:
        """Whether every planned step is done."""
        return self.step >= self.plan.total_steps

    def batches(self) -> Iterator[tuple[int, Batch, int]]:
        """Yield the batches of the next step: index, this process's share of it, and what its losses are divided by.

        A share may have no rows, where there are more processes than images in a batch.
        """
        rows = self.plan.batches(self.step)
        accumulation, by_batch = self.config.training.gradient_accumulation, self.config.compat.mean_of_batches
        sizes = losses.group_sizes([len(each) for each in rows], accumulation, mean_of_batches=by_batch)
        for index, (each, size) in enumerate(zip(rows, sizes, strict=True)):
            yield index, self.dataset.batch(each).share(self.processes.rank, self.processes.count), size

    @contextmanager
    def training_mode(self) -> Iterator[None]:
        """Dropout, gradient checkpointing and compiled blocks act inside only."""
        _switch(self._switched, training=True)
        try:
            with self.blocks.active() if self.blocks is not None else nullcontext():
                yield
        finally:
            _switch(self._switched, training=False)

    @cached_property
    def _switched(self) -> list[nn.Module]:
        """The modules that are in training mode during a step, where any of them looks at it."""
        if not (self.config.network.draws or self.config.training.gradient_checkpointing):
            return []
        return [module for part in self.components for module in self.base.modules[part].modules()]

    def remove(self) -> None:
        """Leave the base as it was before this version."""
        if self.blocks is not None:
            self.blocks.forget()
        self.adapter.remove()
        self._checkpointing(False)

    def _checkpointing(self, on: bool) -> None:
        """Let the trained parts keep fewer activations and compute them again in the backward pass, if asked for."""
        if self.config.training.gradient_checkpointing:
            self.base.set_checkpointing(self.components, on=on)


def _switch(modules: Sequence[nn.Module], *, training: bool) -> None:
    """Do what `train` and `eval` do, of whose time nearly all goes into finding the modules: some have 9,000."""
    for module in modules:
        vars(module)["training"] = training
