"""What a search costs against training the same configurations one by one.

    .venv/bin/python benchmarks/study.py

Twelve configurations (FuzzyBear on the toy base, learning rates and ranks drawn once) are trained as twelve
`python train.py` processes, one after another; as a study of two lanes without pruning; and with the default pruner.
Same seeds, so the same configuration gives the same value in all three. Goals: half of the wall time without pruning,
a quarter with it, at an equal best value. Wants an idle machine with two cores.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import publish

ROOT = Path(__file__).resolve().parents[1]
TRIALS = 12
RUN = [
    "dataset.repeats=3",
    "training.epochs=6",
    "training.max_steps=72",
    "optimizer=adamw",
    "scheduler=constant",
    "sampling.every_epochs=1000",
    "tracker.wandb.mode=offline",
]
LANES = ["hydra/launcher=lanes", "hydra.sweeper.n_jobs=2", f"hydra.sweeper.n_trials={TRIALS}"]


def configurations() -> list[dict[str, float]]:
    """Return the parameters of each configuration; the best rates come anywhere in the list."""
    draw = random.Random(0)
    return [
        {"optimizer.lr": round(10 ** draw.uniform(-5, -2), 7), "network.rank": draw.choice((4, 8, 16))}
        for _ in range(TRIALS)
    ]


def train(*line: str) -> float:
    """Run train.py with a command line; return its wall time in seconds."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    subprocess.run([sys.executable, "train.py", *line], cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def values(root: Path) -> list[float]:
    """Return the objectives of all complete versions, ascending."""
    records = [json.loads(path.read_text()) for path in root.glob("fuzzybear/v*/record.json")]
    return sorted(record["objective"]["value"] for record in records if record["status"] == "complete")


def study(root: Path, given: list[dict[str, float]], *line: str) -> float:
    """Search exactly the given configurations; return the wall time in seconds."""
    enqueue = root.with_suffix(".yaml")
    enqueue.write_text(json.dumps(given))
    space = ["optimizer.lr=tag(log,interval(1e-5,1e-2))", "network.rank=4,8,16"]
    return train("-m", "hydra/sweeper=optuna", *space, *RUN, *LANES, f"output_root={root}",
                 f"hydra.sweeper.enqueue={enqueue}", "hydra.sweeper.plots=false", *line)  # fmt: skip


def main() -> None:
    """Run and print."""
    given = configurations()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        train(*RUN, f"output_root={home / 'warm'}", "training.max_steps=1")  # draws the theme, fills the caches
        for name in ("apart", "whole", "pruned"):
            (home / name).mkdir()
            for hidden in (home / "warm").glob(".[tc]*"):
                subprocess.run(["cp", "-r", str(hidden), str(home / name)], check=True)
        seconds = {
            "12 processes": sum(
                train(*RUN, f"output_root={home / 'apart'}", *(f"{key}={value}" for key, value in entry.items()))
                for entry in given
            ),
            "study, no pruning": study(home / "whole", given, "hydra/sweeper/pruner=none"),
            "study, median pruner": study(home / "pruned", given),
        }
        best = {name: values(home / root) for name, root in zip(seconds, ("apart", "whole", "pruned"), strict=True)}
    alone = seconds["12 processes"]
    rows = [("", "wall time", "of 12 processes", "complete", "best value")]
    rows += [
        (name, f"{taken:.0f} s", f"{taken / alone:.2f}", str(len(best[name])), f"{best[name][0]:.6f}")
        for name, taken in seconds.items()
    ]
    figures = {
        name: {"seconds": taken, "ratio": taken / alone, "complete": len(best[name]), "best": best[name][0]}
        for name, taken in seconds.items()
    }
    publish("study", f"{TRIALS} configurations of 72 steps, two lanes", rows, figures)


if __name__ == "__main__":
    main()
