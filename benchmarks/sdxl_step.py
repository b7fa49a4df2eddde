"""A training step of full-size SDXL with random weights: seconds, memory, and how near to the card's matrix rate.

    .venv/bin/python benchmarks/sdxl_step.py                         on a GPU: 1024 pixels, batch 1, 2, 4
    .venv/bin/python benchmarks/sdxl_step.py --size small            the same at small size: what a CPU gets

LoRA of rank 16, bf16, latents and text embeddings ready, no gradient checkpointing; eager, and with
training.compile=true. Each line is measured in a process of its own, through the trainer's own `loop.train_step`.
TFLOP are counted by torch (two per multiplication and addition, forward and backward); the rate beside it is a large
matrix product of the same precision on the same device. Published for comparison: 0.606 s and 13.0 GiB at batch 1
(SimpleTuner, LoKr, H100). Goal on an H200: 45 % of the matrix rate at batch 4, at most 60 ms at batch 1; the floor
there, all arithmetic at full rate, is 18 and 72 ms.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace
from typing import Any

import torch
from common import publish
from diffusers import UNet2DConditionModel
from full_size import FULL, SMALL
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from lorasweep.compose.composition import composing, load_config
from lorasweep.data.batch import Batch
from lorasweep.data.plan import Plan
from lorasweep.families.base import ImageFacts
from lorasweep.families.conditioning import Conditioning
from lorasweep.families.device import open_accelerator
from lorasweep.families.opened import base_of as load_base
from lorasweep.training.loop import train_step
from lorasweep.training.version import Version

SIZES = {"full": (FULL, 128, 1280), "small": (SMALL, 32, 64)}  # UNet, latents' side, width of the pooled text
WARMUP, STEPS, PROFILED = 5, 20, 3
SECONDS_OF_MATRICES = 2.0


def version_of(size: str, batch: int, compiled: bool, folder: str) -> Version:
    """Return a version of the trainer on a UNet of random weights, its data ready in memory."""
    settings, side, pooled = SIZES[size]
    overrides = [f"output_root={folder}", "lora=fuzzybear", "optimizer=adamw", "optimizer.text_encoder_lr=0",
                 "network.rank=16", "network.alpha=8", f"training.batch_size={batch}", "loss.noise_offset=0",
                 f"training.compile={str(compiled).lower()}", "training.mixed_precision=bf16"]  # fmt: skip
    with composing():
        config = load_config(overrides)
    base = load_base(config)
    accelerator = open_accelerator(config.training)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(accelerator.device):
        base.unet = UNet2DConditionModel(**settings).requires_grad_(False).eval()
    torch.set_default_dtype(torch.float32)
    base.modules["unet"] = base.unet
    tensors = {"hidden": torch.randn(batch, 77, settings["cross_attention_dim"]), "pooled": torch.randn(batch, pooled)}
    text, latents = Conditioning(tensors).to(accelerator.device), torch.randn(batch, 4, side, side)
    facts = [ImageFacts((8 * side, 8 * side), (0, 0), (8 * side, 8 * side))] * batch

    def ready(rows: list[Any]) -> Batch:
        return Batch(list(rows), latents, [""] * len(rows), facts, torch.ones(len(rows)))

    dataset: Any = SimpleNamespace(plan=Plan([{0: batch}], batch, 1, 1, 10_000, 0), batch=ready)
    return Version(config, 1, base, dataset, lambda captions, pad_to: text, accelerator)  # type: ignore[arg-type]


def matrix_rate(device: torch.device) -> float:
    """Return the TFLOP/s of a large matrix product in bf16, the best of many."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    best, ends = float("inf"), time.perf_counter() + SECONDS_OF_MATRICES
    while time.perf_counter() < ends:
        started = time.perf_counter()
        a @ b
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best / 1e12


def measure(size: str, batch: int, compiled: bool) -> dict[str, Any]:
    """Return the figures of one line."""
    with tempfile.TemporaryDirectory() as folder:
        tflop = _tflop(size, batch, folder)
        version = version_of(size, batch, compiled, folder)
        device = version.accelerator.device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        first = _timed(version, 1)[0]
        _timed(version, WARMUP)
        seconds = _timed(version, STEPS)
        peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
        median = statistics.median(seconds)
        return {
            "batch": batch,
            "compiled": compiled,
            "seconds_per_step": median,
            "slowest": max(seconds),
            "first_step": first,
            "peak_gib": peak,
            "tflop": tflop,
            "tflops": tflop / median,
            "matrix_tflops": matrix_rate(device),
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
            "where": _profile(version, device),
        }


def _tflop(size: str, batch: int, folder: str) -> float:
    """Count one eager step; what compiles cannot be counted."""
    version = version_of(size, batch, False, folder)
    with FlopCounterMode(display=False) as counter:
        train_step(version)
    version.remove()
    return float(counter.get_total_flops()) / 1e12


def _timed(version: Version, steps: int) -> list[float]:
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        train_step(version)
        _wait(version.accelerator.device)
        seconds.append(time.perf_counter() - started)
    return seconds


def _profile(version: Version, device: torch.device) -> dict[str, Any]:
    """Return where the time of a step goes: the device's share of it, launches, and the ten longest operations."""
    cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as found:
        started = time.perf_counter()
        for _ in range(PROFILED):
            train_step(version)
        _wait(device)
        wall = (time.perf_counter() - started) / PROFILED
    averages = found.key_averages()
    of = (lambda e: e.self_device_time_total) if cuda else (lambda e: e.self_cpu_time_total)
    top = sorted(averages, key=of, reverse=True)[:10]
    launches = sum(e.count for e in averages if "LaunchKernel" in e.key) if cuda else None
    return {
        "wall_s": wall,
        "device_busy_s": sum(map(of, averages)) / PROFILED / 1e6,
        "launches_per_step": launches / PROFILED if launches is not None else None,
        "top": [{"name": e.key[:60], "ms": of(e) / PROFILED / 1000, "calls": e.count / PROFILED} for e in top],
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Measure every line in a process of its own, print the table and the profile of the last."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="full" if torch.cuda.is_available() else "small")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--only", choices=("eager", "compiled"))
    parser.add_argument("--line", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.line:
        batch, compiled = json.loads(options.line)
        print(json.dumps(measure(options.size, batch, compiled)))
        return
    rows = [("batch", "", "s/step", "first step", "peak", "TFLOP/s", "of the matrix rate")]
    lines = []
    for compiled in (False, True):
        if options.only == ("eager" if compiled else "compiled"):
            continue
        for batch in options.batches:
            command = [sys.executable, __file__, "--size", options.size, "--line", json.dumps([batch, compiled])]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            line = json.loads(done.stdout.splitlines()[-1])
            lines.append(line)
            peak = "-" if line["peak_gib"] is None else f"{line['peak_gib']:.1f} GiB"
            share = line["tflops"] / line["matrix_tflops"]
            rows.append((str(batch), "compiled" if compiled else "eager", f"{line['seconds_per_step']:.4f}",
                         f"{line['first_step']:.1f} s", peak, f"{line['tflops']:.3g}", f"{share:.0%}"))  # fmt: skip
            print(*rows[-1], flush=True)
    name = "sdxl_step" if options.size == "full" else "sdxl_step_small"
    publish(name, f"{options.size} SDXL on {lines[-1]['device']}", rows, {"lines": lines})
    for line in lines:
        where = line["where"]
        launches = f", {where['launches_per_step']:.0f} launches" if where["launches_per_step"] else ""
        print(f"batch {line['batch']} {'compiled' if line['compiled'] else 'eager'}: {where['wall_s']:.4f} s a step, "
              f"device busy {where['device_busy_s']:.4f} s{launches}")  # fmt: skip
        for entry in where["top"]:
            print(f"    {entry['ms']:9.3f} ms {entry['calls']:8.0f} x  {entry['name']}")


if __name__ == "__main__":
    main()
