"""What training changes of a version: adapter, optimizer, schedule, average and the number of steps taken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from lorasweep.adapters.adapter import Adapter
from lorasweep.optim.average import WeightsAverage
from lorasweep.optim.optimizer import build_optimizer
from lorasweep.optim.optimizers.kind import optimizer_kind
from lorasweep.optim.rates import current_rates
from lorasweep.optim.schedule import build_schedule
from lorasweep.optim.schedule_free import averaged, everywhere
from lorasweep.optim.state import load_optimizer_state, optimizer_state
from lorasweep.runs import state
from lorasweep.schema import Config

OVERFLOWS = 25
"""Steps in a row that fp16 may skip. Its scale begins at 65,536 and is halved by each: by then it is 1/512, and what
still overflows is no matter of scale."""


class NonFiniteError(Exception):
    """The loss or the gradient of a step is not a finite number; the adapter is as it was before the step."""


@dataclass(frozen=True)
class StepReport:
    """What one optimizer step measured.

    Attributes:
        loss: that it took, as `losses.group_sizes` weighs its images: their mean, as a rule.
        grad_norm: the gradient's norm before clipping.
        skipped: fp16 overflowed, and the step was not taken.
    """

    loss: float
    grad_norm: float
    skipped: bool = False


class TrainState:
    """The trainable state of one version; all else is a function of it and of the config.

    Args:
        config: the whole config.
        adapter: at its start.
        accelerator: device, precision and, in fp16, this version's own loss scale.
        rates: learning rate of each part that is trained.
        total_steps: that are planned.

    Attributes:
        parameters: what is trained, by name.
        optimizer: bare; `scaled_optimizer` is the same with fp16's loss scale.
        schedule: of the learning rates.
        average: of the weights, if `training.ema_decay` asks for one.
        step: optimizer steps taken.
        overflows: steps in a row up to here that fp16 skipped.
    """

    def __init__(
        self, config: Config, adapter: Adapter, accelerator: Accelerator, rates: Mapping[str, float], total_steps: int
    ) -> None:
        self.config, self.adapter, self.accelerator, self.total_steps = config, adapter, accelerator, total_steps
        self.parameters = adapter.named_parameters()
        self.optimizer = build_optimizer(config.optimizer, self.parameters, rates)
        self.step = self.overflows = 0
        self.schedule = self._schedule()  # first, as it counts the optimizer's steps and accelerate keeps what it finds
        self.scaled_optimizer = accelerator.prepare_optimizer(self.optimizer)
        decay = config.training.ema_decay
        self.average = None if decay is None else WeightsAverage(self.parameters, decay)

    def rates(self) -> dict[str, float]:
        """Return the learning rate of each component at the current step."""
        return current_rates(self.optimizer)

    @contextmanager
    def clearing_gradients_on_error(self) -> Iterator[None]:
        """Drop what an error leaves, out of memory say: it would be held, or be part of the next step."""
        try:
            yield
        except BaseException:
            self.optimizer.zero_grad()
            raise

    def clip(self) -> Tensor:
        """Scale the gradients down to `training.max_grad_norm`; return their norm before that."""
        limit = self.config.training.max_grad_norm or math.inf
        norm: Tensor = self.accelerator.clip_grad_norm_(list(self.parameters.values()), limit)
        return norm

    def check(self, loss: Tensor, grad_norm: Tensor) -> StepReport:
        """Return loss and gradient norm as numbers.

        They are read together and once: each reading waits for all that the GPU has to do.

        Raises:
            NonFiniteError: the step must not be taken.
        """
        value, norm = torch.stack([loss, grad_norm.to(loss)]).tolist()
        # In fp16 an overflowing gradient is routine: the scaler has the step skipped and lowers its scale.
        overflows = not math.isfinite(norm)
        if not math.isfinite(value) or (overflows and self.accelerator.scaler is None):
            raise NonFiniteError(f"loss {value}, gradient norm {norm}")
        return StepReport(value, norm, skipped=overflows)

    def update(self, report: StepReport) -> None:
        """Step the optimizer, clear the gradients, limit norms, move the average.

        Raises:
            NonFiniteError: fp16 has skipped `OVERFLOWS` steps in a row.
        """
        self.scaled_optimizer.step()
        self.overflows = self.overflows + 1 if report.skipped else 0
        if self.overflows >= min(OVERFLOWS, self.total_steps):
            raise NonFiniteError(f"steps skipped in a row because fp16 overflowed: {self.overflows}")
        self.scaled_optimizer.zero_grad()
        if self.config.network.max_norm is not None:
            everywhere(self.optimizer, self.adapter.limit_norms)
        if self.average is not None:
            self.average.step()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the weights that are measured, sampled and saved: the moving average, or the optimizer's, if any.

        The cap on norms holds for them too: the product of averaged factors may be larger than every product averaged.
        """
        with self.average.swapped_in() if self.average is not None else averaged(self.optimizer):
            if self.average is not None and self.config.network.max_norm is not None:
                self.adapter.limit_norms()
            yield

    def save(self, folder: Path, beside: Mapping[str, Any] | None = None) -> None:
        """Write all that is needed to go on from this step.

        Args:
            folder: the version folder.
            beside: JSON values of whoever steps this version, which `load` gives back.
        """
        kept = optimizer_kind(self.config.optimizer.name).group_state
        tensors, plain = optimizer_state(self.optimizer, self.parameters, kept)
        tensors = {f"optimizer.{name}": tensor for name, tensor in tensors.items()}
        tensors |= {f"adapter.{name}": tensor for name, tensor in self.adapter.state().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.state().items()}
        scaler = self.accelerator.scaler
        scale = scaler.state_dict() if scaler is not None else None
        numbers = {"optimizer": plain, "scaler": scale, "overflows": self.overflows}
        state.save_state(folder, self.step, tensors, numbers | dict(beside or {}))

    def load(self, folder: Path) -> dict[str, Any]:
        """Go on from the latest state in `folder`, if there is one; otherwise stay at step 0.

        Returns:
            All plain values of the state, those that `save` was given beside its own included; {} without one.

        Raises:
            UserError: the state file is damaged.
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

    def _schedule(self) -> LambdaLR:
        """Build the learning rates from the current step on; they are a function of the step alone."""
        return build_schedule(self.config.scheduler, self.optimizer, self.total_steps, self.step)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
