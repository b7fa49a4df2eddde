"""How long a user waits: for the first training step, for --help, for the message about a mistake.

    .venv/bin/python benchmarks/startup.py

Whole processes, from the command to what the user waits for. Goals: first step on the toy base 10 s with warm caches
(the base's samples are drawn before it), --help and a config error 2 s each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import median_and_range, publish

ROOT = Path(__file__).resolve().parents[1]
RUNS = 5


def first_step(output_root: Path) -> float:
    """Return the seconds from the command to the first row of metrics of a training step."""
    command = [
        sys.executable,
        "train.py",
        f"output_root={output_root}",
        "training.max_steps=1",
        "tracker.every_steps=1",
        "tracker.wandb.mode=offline",
    ]
    before = set(output_root.glob("fuzzybear/v*"))
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        new = set(output_root.glob("fuzzybear/v*")) - before
        if any('"train/loss"' in path.read_text() for folder in new for path in folder.glob("metrics.jsonl")):
            seconds = time.perf_counter() - started
            process.communicate()
            return seconds
        time.sleep(0.01)
    raise RuntimeError(f"train.py ended before its first step: {process.stderr.read().decode()}")  # type: ignore[union-attr]


def whole(*arguments: str) -> float:
    """Return the seconds that `train.py` with these arguments takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "train.py", *arguments], cwd=ROOT, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory() as folder:
        first_step(Path(folder))  # fills the caches
        waits = {
            "first step": [first_step(Path(folder)) for _ in range(RUNS)],
            "--help": [whole("--help") for _ in range(RUNS)],
            "config error": [whole("network.rnak=8", "optimizer.lr=-1") for _ in range(RUNS)],
        }
    goals = {"first step": 10, "--help": 2, "config error": 2}
    rows = [["wait for", "seconds: median (range)", "goal"]]
    rows += [[name, median_and_range(values), f"{goals[name]} s"] for name, values in waits.items()]
    publish("startup", f"What a user waits for, {RUNS} runs each", rows, {"seconds": waits, "goals": goals})


if __name__ == "__main__":
    main()
