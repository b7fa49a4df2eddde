"""The loop that trains the toy's VAE and CLIP, for which the trainer has no objective; it makes the toy's UNet itself.

AdamW, warmup and cosine, a moving average, resumable, on 1 or 2 cores. Batches are a function of (seed, step, worker),
so a build that was stopped goes on where it was, and two workers see different batches whose gradients are averaged.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor, nn

from lorasweep import files


@dataclass(frozen=True)
class Fitting:
    """How long and how fast to train.

    Attributes:
        steps: optimizer steps in all.
        lr: the highest learning rate.
        warmup: steps of a linear warmup.
        decay: of the moving average of the weights, 0 to 1.
        weight_decay: AdamW's.
        export_every: steps between two exports of the averaged weights.
        state: where the resumable state is kept; None keeps none.
        worker: which share of the batches this process computes, from 0.
        workers: how many processes share them.
    """

    steps: int
    lr: float
    warmup: int = 100
    decay: float = 0.999
    weight_decay: float = 0.01
    export_every: int = 500
    state: Path | None = None
    worker: int = 0
    workers: int = 1


def learning_rate(step: int, plan: Fitting) -> float:
    """Return the learning rate of `step`: a linear warmup, then a cosine to zero."""
    if step < plan.warmup:
        return plan.lr * (step + 1) / plan.warmup
    share = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
    return plan.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def fit(
    model: nn.Module, loss_of: Callable[[int], Tensor], export: Callable[[nn.Module], None], plan: Fitting
) -> float:
    """Train `model` on `loss_of(step)` and hand the averaged weights to `export` (first worker only).

    On return `model` holds the averaged weights.

    Returns:
        The seconds spent in this process.
    """
    started = time.monotonic()
    if plan.workers > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29517")
        dist.init_process_group("gloo", rank=plan.worker, world_size=plan.workers)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=plan.lr, betas=(0.9, 0.99), weight_decay=plan.weight_decay)
    average = [p.detach().clone() for p in parameters]
    first = _restore(plan, model, optimizer, average)
    recent = 0.0
    for step in range(first, plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, plan)
        loss = loss_of(step)
        loss.backward()
        _share_gradients(parameters, plan.workers)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        # The average forgets its beginnings quickly at first, so that an early export is usable too.
        decay = min(plan.decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - decay)
        recent = float(loss.detach()) if step == first else 0.98 * recent + 0.02 * float(loss.detach())
        if plan.worker == 0 and (step + 1) % 50 == 0:
            pace = (time.monotonic() - started) / (step + 1 - first)
            print(f"step {step + 1}/{plan.steps}  loss {recent:.4f}  {pace:.3f} s/step", flush=True)
        if plan.worker == 0 and (step + 1) % plan.export_every == 0 and step + 1 < plan.steps:
            _save(plan, step + 1, model, optimizer, average)
            _export_average(model, parameters, average, export)
    with torch.no_grad():
        for p, q in zip(parameters, average, strict=True):
            p.copy_(q)
    if plan.workers > 1:
        dist.destroy_process_group()
    if plan.worker == 0:
        export(model)
    return time.monotonic() - started


def _share_gradients(parameters: list[nn.Parameter], workers: int) -> None:
    if workers == 1:
        return
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= workers
    for p, piece in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad = piece.view_as(p)


def _export_average(model: nn.Module, parameters: list[nn.Parameter], average: list[Tensor],
                    export: Callable[[nn.Module], None]) -> None:  # fmt: skip
    current = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for p, q in zip(parameters, average, strict=True):
            p.copy_(q)
        export(model)
        for p, q in zip(parameters, current, strict=True):
            p.copy_(q)


def _save(plan: Fitting, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, average: list[Tensor]) -> None:
    if plan.state is None:
        return
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average.{number}": value for number, value in enumerate(average)}
    for number, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value for key, value in entry.items()}
    # No two sharing memory, and none in channels-last order, which safetensors refuses.
    copies = {n: value.detach().clone(memory_format=torch.contiguous_format) for n, value in tensors.items()}
    files.write_safetensors(plan.state, copies, {"step": str(step)})


def _restore(plan: Fitting, model: nn.Module, optimizer: torch.optim.Optimizer, average: list[Tensor]) -> int:
    if plan.state is None or not plan.state.exists():
        return 0
    with safe_open(plan.state, "pt") as stream:
        step = int(stream.metadata()["step"])
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    model.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            moments.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    for number, mine in enumerate(average):
        mine.copy_(tensors[f"average.{number}"])
    return step
