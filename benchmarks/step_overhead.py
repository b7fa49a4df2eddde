"""What the loop itself costs: the part of a step outside forward, backward and optimizer step.

    .venv/bin/python benchmarks/step_overhead.py

FuzzyBear's recipe on the toy base at batch 2 on one thread, everything on that a user has on (trackers, progress).
Goal: at most 10 % of a step.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from common import publish

from lorasweep.compose.composition import composing, load_config
from lorasweep.families.opened import base_of as load_base
from lorasweep.runs.stopwatch import Stopwatch
from lorasweep.training.job import Job
from lorasweep.training.loop import advance
from lorasweep.training.member import Member
from lorasweep.training.start.opening import open_session
from lorasweep.training.start.setup import prepare_version

WARMUP, STEPS = 30, 300


def timed(seconds: dict[str, float], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, adding the time of each call to `seconds[name]`."""

    def call(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        result = function(*args, **kwargs)
        seconds[name] += time.perf_counter() - started
        return result

    return call


def instrument(member: Member) -> dict[str, float]:
    """Measure the forward (text encoders and UNet), backward and optimizer step of a version."""
    seconds: dict[str, float] = defaultdict(float)
    version = member.version
    version.model.embed = timed(seconds, "forward", version.model.embed)  # type: ignore[method-assign]
    version.base.predict = timed(seconds, "forward", version.base.predict)  # type: ignore[method-assign]
    version.accelerator.backward = timed(seconds, "backward", version.accelerator.backward)
    version.state.scaled_optimizer.step = timed(seconds, "optimizer", version.state.scaled_optimizer.step)
    return seconds


def main() -> None:
    """Run and print."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, composing():
        overrides = [
            f"output_root={folder}",
            f"training.max_steps={WARMUP + STEPS}",
            "sampling.every_epochs=0",
            "tracker.wandb.mode=offline",
            "training.state_every_steps=0",
            *sys.argv[1:],
        ]
        config = load_config(overrides)
        prepared = prepare_version(Job(config), load_base(config), Stopwatch())
        session = open_session(prepared)
        member = Member(prepared.version, session)
        session.begin()
        for _ in range(WARMUP):
            advance(member)
        parts = instrument(member)
        totals = []
        for _ in range(STEPS):
            if member.version.step + 1 in member.version.plan.epoch_ends:
                break  # what an epoch's end costs is no part of a step
            started = time.perf_counter()
            advance(member)
            totals.append(time.perf_counter() - started)
        session.close("interrupted", "benchmark")
        session.release()
        prepared.version.remove()
    whole = sum(totals)
    rows = [["part", "ms/step", "share"]]
    for name, value in [*parts.items(), ("outside", whole - sum(parts.values())), ("whole step", whole)]:
        rows.append([name, f"{1000 * value / len(totals):.2f}", f"{100 * value / whole:.1f} %"])
    share = 1 - sum(parts.values()) / whole
    figures = {
        "steps": len(totals),
        "median_step_ms": 1000 * statistics.median(totals),
        "parts_ms": {name: 1000 * value / len(totals) for name, value in parts.items()},
        "outside_share": share,
    }
    publish(
        "step_overhead",
        f"One training step on the toy base, batch 2, {len(totals)} steps, one thread",
        rows,
        figures,
    )


if __name__ == "__main__":
    main()
