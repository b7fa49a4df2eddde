"""What a training step asks of the program beside arithmetic: kernels to launch, waits for the GPU, Python's own time.

    .venv/bin/python benchmarks/host_cost.py                      as the program is
    .venv/bin/python benchmarks/host_cost.py --against 73f8ce2    beside what it was at a commit

Counted on a GPU that is not there (tests/cuda_stand_in), so that the counts are exact on any machine: a LoRA of rank 4
on a shallow SDXL of random weights, bf16, batch 2. Copies are those that the program waits for. Switching is what
training mode costs, in and out, on full-size SDXL's UNet with its LoRA: ms of this machine's CPU, the best of five.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from common import publish

ROOT = Path(__file__).parent.parent
SETTINGS: dict[str, dict[str, Any]] = {
    "text from the cache": {"optimizer.text_encoder_lr": 0.0},
    "text encoders trained": {},
    "two micro-batches": {"optimizer.text_encoder_lr": 0.0, "training.gradient_accumulation": 2},
    "preservation": {"optimizer.text_encoder_lr": 0.0, "loss.preservation_class": "person"},
    "EMA": {"optimizer.text_encoder_lr": 0.0, "training.ema_decay": 0.9},
}


def counted() -> dict[str, dict[str, float]]:
    """Return launches and waits of one step, by setting. Call it where the pretended GPU is preloaded."""
    import torch

    from lorasweep.compose.composition import composing, load_config
    from lorasweep.data.providers import with_images
    from lorasweep.families.device import open_accelerator
    from lorasweep.families.load import load_base
    from lorasweep.schema import BaseModelConfig
    from lorasweep.training.loop import train_step
    from lorasweep.training.start.setup import read_data
    from lorasweep.training.version import Version
    from tests.cuda_stand_in.card import card
    from tests.cuda_stand_in.inside.conftest import small, with_changes

    toy = load_base(BaseModelConfig(resolution=64), "cpu", torch.float32)
    found: dict[str, dict[str, float]] = {}
    for name, changes in SETTINGS.items():
        with tempfile.TemporaryDirectory() as folder, card() as gpu:
            with composing():
                overrides = ["lora=fuzzybear", f"output_root={folder}", "network.rank=4", "optimizer=adamw"]
                config = load_config([*overrides, "training.device=cuda"])
            config = with_images(with_changes(config, changes))
            base = small(toy, config)
            data, text = read_data(config, base)
            version = Version(config, 6, base, data, text, open_accelerator(config.training))
            train_step(version)
            gpu.waits.clear()
            gpu.launches = 0
            train_step(version)
            reads = gpu.waits["read"] + gpu.waits["to CPU"]
            found[name] = {"launches": gpu.launches, "copies": gpu.waits["from CPU"], "reads": reads}
            version.remove()
    return found


def synchronisations() -> int:
    """Return how often 8-bit AdamW waits for the GPU in a step of 264 parameters, the toy's LoRA."""
    import bitsandbytes.optim.optimizer as theirs
    import torch
    from bitsandbytes.utils import sync_gpu

    from lorasweep.optim.optimizer import build_optimizer
    from lorasweep.schema import OptimizerConfig

    named = {f"unet.{number}.lora_A": torch.nn.Parameter(torch.zeros(4, 16)) for number in range(264)}
    optimizer = build_optimizer(OptimizerConfig(name="adamw8bit"), named, {"unet": 1e-4})
    calls: list[Any] = []
    if theirs.sync_gpu is sync_gpu:  # not taken out
        theirs.sync_gpu = calls.append
    for parameter in named.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return len(calls)


def switching() -> float:
    """Return the milliseconds that training mode takes, in and out, on full-size SDXL with checkpointing."""
    from full_size import without_weights

    from lorasweep.adapters.adapter import build_adapter
    from lorasweep.schema import Config, NetworkConfig
    from lorasweep.training.version import Version

    base = without_weights()
    build_adapter(base, NetworkConfig(), components=["unet"], seed=0, name="timed")
    config = Config()
    config.training.gradient_checkpointing = True
    version = Version.__new__(Version)
    vars(version).update(config=config, base=base, components=("unet",), blocks=None, accelerator=SimpleNamespace())
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        with version.training_mode():
            pass
        seconds.append(time.perf_counter() - started)
    return 1000 * min(seconds)


def measure(source: Path) -> dict[str, Any]:
    """Return all figures of the program whose sources are in a folder, each from a process of its own."""
    sys.path.insert(0, str(ROOT))
    from tests.cuda_stand_in.test_inside import library

    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    path = os.pathsep.join([str(source), str(ROOT), str(ROOT / "benchmarks")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    figures: dict[str, Any] = {}
    for part, more in (("counted", {"LD_PRELOAD": str(library(folder))}), ("synchronisations", {}), ("switching", {})):
        command = [sys.executable, __file__, "--part", part]
        done = subprocess.run(command, env=environment | more, stdout=subprocess.PIPE, text=True, check=True)
        figures[part] = json.loads(done.stdout.splitlines()[-1])
    return figures


def rows_of(found: dict[str, Any]) -> dict[str, float]:
    """Return the figures by the names of their lines."""
    rows = {f"{name}: {what}": count for name, counts in found["counted"].items() for what, count in counts.items()}
    return rows | {"8-bit AdamW: waits": found["synchronisations"], "switching, ms": round(found["switching"], 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--against", help="a commit, measured the same way in the same run")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(globals()[options.part]()))
        return
    now = rows_of(measure(ROOT / "src"))
    before: dict[str, float] = {}
    if options.against:
        with tempfile.TemporaryDirectory() as folder:
            archive = subprocess.run(
                ["git", "archive", options.against, "src", "conf"], cwd=ROOT, capture_output=True, check=True
            )
            subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
            before = rows_of(measure(Path(folder) / "src"))
    table = [["per step", *(["before"] if before else []), "now", *(["now / before"] if before else [])]]
    for name, value in now.items():
        line = [name, f"{value:g}"]
        if before:
            line[1:1] = [f"{before[name]:g}"]
            line.append(f"{value / before[name]:.2f}" if before[name] else "-")
        table.append(line)
    publish("host_cost", "What a step asks beside arithmetic", table, {"now": now, "before": before})


if __name__ == "__main__":
    main()
