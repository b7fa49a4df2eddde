"""One version in training: its adapter, optimizer, data and the step that ties them together.

The state of a version is its step number, its adapter and its optimizer; everything else is a function of these and
of the config. A cohort holds several versions on one base; nothing here knows of the others.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from lorasweep.adapters.adapter import build_adapter
from lorasweep.data.dataset import Dataset
from lorasweep.data.text import TextCache
from lorasweep.families.parts import learning_rates
from lorasweep.families.sdxl.model import SDXL
from lorasweep.optim.average import WeightsAverage
from lorasweep.optim.optimizer import build_optimizer
from lorasweep.optim.optimizers.kind import optimizer_kind
from lorasweep.optim.rates import current_rates
from lorasweep.optim.schedule import build_schedule
from lorasweep.optim.schedule_free import averaged, everywhere
from lorasweep.optim.state import load_optimizer_state, optimizer_state
from lorasweep.process import losses
from lorasweep.runs import state
from lorasweep.schema import Config, slug
from lorasweep.training.compiling import CompiledBlocks
from lorasweep.training.idle import idle_parts
from lorasweep.training.model import Model
from lorasweep.training.objectives.denoising import Denoising
from lorasweep.training.objectives.objective import Objective
from lorasweep.training.processes import Processes
from lorasweep.training.starting_point import begin_from

OVERFLOWS = 25
"""Steps in a row that fp16 may skip. Its scale begins at 65,536 and is halved by each: by then it is 1/512, and what
still overflows is no matter of scale."""


class NonFiniteError(Exception):
    """The loss or the gradient of a step is not a finite number; the adapter is as it was before the step."""


@dataclass(frozen=True)
class StepReport:
    """What one optimizer step measured: the loss that it took, as `losses.group_sizes` weighs its images (their mean,
    as a rule), and the gradient's norm before clipping. `skipped`: fp16 overflowed, and the step was not taken."""

    loss: float
    grad_norm: float
    skipped: bool = False


class Version:
    """The trainable side of one version.

    Args:
        config: the whole config.
        number: N of vN; 0 while it has none.
        base: the frozen model.
        dataset: its images and plan.
        text_cache: encoded captions, while the text encoders are frozen.
        accelerator: device, precision and, in fp16, this version's own loss scale.
        begun: whether it goes on from a saved state, which holds all that `network.start_from` gave.

    Attributes:
        model: the base with the adapter on it, for who asks for predictions.
        objective: what it is trained for.
        started_from: SHA-256 of the file that `network.start_from` named, or None.

    Raises:
        UserError: the settings do not suit the base or the file to start from.
    """

    def __init__(
        self,
        config: Config,
        number: int,
        base: SDXL,
        dataset: Dataset,
        text_cache: TextCache,
        accelerator: Accelerator,
        *,
        begun: bool = False,
    ) -> None:
        self.config, self.number, self.base, self.dataset = config, number, base, dataset
        self.accelerator, self.plan = accelerator, dataset.plan
        self.processes = Processes(accelerator)
        self.blocks: CompiledBlocks | None = None
        self._rates = learning_rates(base.family.parts, config.optimizer)
        self.components = tuple(self._rates)
        base.placement.offload(idle_parts(config, base.family))
        # The number may come later; of all that is on the base at one time, this tells it apart.
        name = f"{slug(config.name)} {id(self)}"
        self.adapter = build_adapter(base, config.network, components=self.components, seed=config.seed, name=name)
        self.model = Model(config, base, self.adapter, text_cache, accelerator)
        self.objective: Objective = Denoising(config, self.model)
        try:
            self._prepare(begun)
        except BaseException:  # nothing of a version that cannot start stays on the base
            self.remove()
            raise

    def _prepare(self, begun: bool) -> None:
        """Give the new adapter its start, its optimizer and all that is switched on around it."""
        config, base = self.config, self.base
        self.parameters = self.adapter.named_parameters()
        self.started_from: str | None = None
        if not begun:
            self.start()
        self.optimizer = build_optimizer(config.optimizer, self.parameters, self._rates)
        self.step = self.overflows = 0
        self.schedule = self._schedule()  # first, as it counts the optimizer's steps and accelerate keeps what it finds
        self.scaled_optimizer = self.accelerator.prepare_optimizer(self.optimizer)
        decay = config.training.ema_decay
        self.average = None if decay is None else WeightsAverage(self.parameters, decay)
        self._checkpointing(True)
        if config.training.compile:
            self.blocks = CompiledBlocks(base.repeated_blocks())

    def start(self) -> None:
        """Give the new adapter the values of the file that `network.start_from` names, if there is one.

        Raises:
            UserError: the file does not suit the settings.
        """
        self.started_from = begin_from(self.adapter, self.config.network, self.base.naming)

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        return self.epochs_at(self.step)

    def epochs_at(self, step: int) -> int:
        """Return how many epochs are complete after `step` optimizer steps."""
        return bisect_right(self.plan.epoch_ends, step)

    @property
    def finished(self) -> bool:
        """Whether every planned step is done."""
        return self.step >= self.plan.total_steps

    def rates(self) -> dict[str, float]:
        """Return the learning rate of each component at the current step."""
        return current_rates(self.optimizer)

    def train_step(self) -> StepReport:
        """Take one optimizer step.

        Raises:
            NonFiniteError: the loss or the gradient is not finite, in fp16 in `OVERFLOWS` steps in a row; nothing was
                changed.
            PeerError, LostProcessError: another process of a launch failed, or is gone.
        """
        try:
            return self._step()
        except BaseException:  # out of memory, say: the gradients so far would be held, or be part of the next step
            self.optimizer.zero_grad()
            raise

    def _step(self) -> StepReport:
        self.adapter.activate()
        batches = self.plan.batches(self.step)
        accumulation, by_batch = self.config.training.gradient_accumulation, self.config.compat.mean_of_batches
        sizes = losses.group_sizes([len(rows) for rows in batches], accumulation, mean_of_batches=by_batch)
        loss = torch.zeros((), device=self.accelerator.device)
        with self.processes.together(), self.training_mode():
            for index, rows in enumerate(batches):
                batch = self.dataset.batch(rows).share(self.processes.rank, self.processes.count)
                if batch.rows:
                    part = losses.reduce(self.objective.losses(batch, self.step, index), sizes[index])
                    self.accelerator.backward(part)
                    loss += part.detach()
        self.processes.add_up_gradients(list(self.parameters.values()))
        value, grad_norm = self.update(self.processes.total(loss))
        self.step += 1
        return StepReport(value, grad_norm, skipped=self.overflows > 0)

    def update(self, loss: Tensor) -> tuple[float, float]:
        """Clip, step the optimizer and the schedule, clear the gradients; return loss and gradient's norm as numbers.

        They are read together and once: each reading waits for all that the GPU has to do.
        """
        parameters = list(self.parameters.values())
        limit = self.config.training.max_grad_norm or math.inf
        clipped = self.accelerator.clip_grad_norm_(parameters, limit)
        value, norm = torch.stack([loss, clipped.to(loss)]).tolist()
        # In fp16 an overflowing gradient is routine: the scaler has the step skipped and lowers its scale.
        overflows = not math.isfinite(norm)
        if not math.isfinite(value) or (overflows and self.accelerator.scaler is None):
            raise NonFiniteError(f"loss {value}, gradient norm {norm}")
        self.scaled_optimizer.step()
        self._count(overflows)
        self.scaled_optimizer.zero_grad()
        if self.config.network.max_norm is not None:
            everywhere(self.optimizer, self.adapter.limit_norms)
        if self.average is not None:
            self.average.step()
        self.schedule.step()
        return value, norm

    def _count(self, overflows: bool) -> None:
        self.overflows = self.overflows + 1 if overflows else 0
        if self.overflows >= min(OVERFLOWS, self.plan.total_steps):
            raise NonFiniteError(f"steps skipped in a row because fp16 overflowed: {self.overflows}")

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the weights that are measured, sampled and saved: the moving average, or the optimizer's, if any.

        The cap on norms holds for them too: the product of averaged factors may be larger than every product averaged.
        """
        with self.average.swapped_in() if self.average is not None else averaged(self.optimizer):
            if self.average is not None and self.config.network.max_norm is not None:
                self.adapter.limit_norms()
            yield

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

    def save_state(self, folder: Path, beside: Mapping[str, Any] | None = None) -> None:
        """Write the resumable state of the current step.

        Args:
            folder: the version folder.
            beside: JSON values of whoever steps this version, which `load_state` gives back.
        """
        tensors, plain = optimizer_state(
            self.optimizer, self.parameters, optimizer_kind(self.config.optimizer.name).group_state
        )
        tensors = {f"optimizer.{name}": tensor for name, tensor in tensors.items()}
        tensors |= {f"adapter.{name}": tensor for name, tensor in self.adapter.state().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.state().items()}
        scaler = self.accelerator.scaler
        scale = scaler.state_dict() if scaler is not None else None
        numbers = {"optimizer": plain, "scaler": scale, "overflows": self.overflows}
        state.save_state(folder, self.step, tensors, numbers | dict(beside or {}))

    def load_state(self, folder: Path) -> dict[str, Any]:
        """Continue from the latest state in `folder`, if there is one; otherwise start at step 0.

        Returns:
            All plain values of the state, those that `save_state` was given beside its own included; {} without one.
        """
        found = state.load_state(folder)
        if found is None:
            return {}
        tensors, plain = found
        self.adapter.load(_under("adapter.", tensors))
        load_optimizer_state(self.optimizer, self.parameters, _under("optimizer.", tensors), plain["optimizer"])
        if self.accelerator.scaler is not None and plain["scaler"]:
            self.accelerator.scaler.load_state_dict(plain["scaler"])
        self.step, self.overflows = plain["step"], plain.get("overflows", 0)
        if self.average is not None:
            self.average.load(_under("average.", tensors), self.step)
        self.schedule = self._schedule()
        return plain

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

    def _schedule(self) -> LambdaLR:
        """Build the learning rates from the current step on; they are a function of the step alone."""
        return build_schedule(self.config.scheduler, self.optimizer, self.plan.total_steps, self.step)


def _switch(modules: Sequence[nn.Module], *, training: bool) -> None:
    """Do what `train` and `eval` do, of whose time nearly all goes into finding the 9,000 modules of SDXL's UNet."""
    for module in modules:
        vars(module)["training"] = training


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
