"""How busy the lanes are when trials take unequal time.

    .venv/bin/python benchmarks/lane_use.py

A small Hydra app whose trials sleep between 2 and 10 seconds, 24 of them in 4 lanes, as a study; beside it what handing
out whole batches would give for the same trials. Busy: the trials' own seconds over lanes x wall time, from the first
start until no trial is left to start (the last ones end one by one whoever hands them out). Goal: 90 %.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from common import publish

LANES, TRIALS = 4, 24
APP = """
import random, time
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(config):
    began = time.time()
    time.sleep(random.Random(config.index).choice((2, 3, 5, 10)))
    with open("times.txt", "a") as stream:
        stream.write(f"{began} {time.time()}\\n")
    return config.index
if __name__ == "__main__":
    main()
"""


def busy(times: list[tuple[float, float]]) -> float:
    """Return the share of the lanes' time that trials fill, up to the start of the last one."""
    first, last = min(began for began, _ in times), max(began for began, _ in times)
    inside = sum(min(ended, last) - began for began, ended in times if began < last)
    return inside / (LANES * (last - first))


def batches(times: list[tuple[float, float]]) -> float:
    """Return the same share if the same trials were handed out in whole batches."""
    lengths = [ended - began for began, ended in sorted(times)]
    groups = [lengths[start : start + LANES] for start in range(0, len(lengths), LANES)]
    return sum(map(sum, groups)) / sum(LANES * max(group) for group in groups)


def main() -> None:
    """Run and print."""
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "app.py").write_text(APP)
        subprocess.run(
            [sys.executable, "app.py", "-m", "hydra/sweeper=optuna", "hydra/launcher=lanes", "hydra.sweep.dir=out",
             f"hydra.sweeper.n_jobs={LANES}", f"hydra.sweeper.n_trials={TRIALS}", f"+index=range(0,{TRIALS})",
             "hydra/sweeper/sampler=grid", "hydra.sweeper.plots=false", "hydra/job_logging=none"],
            cwd=folder, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        lines = (Path(folder) / "times.txt").read_text().splitlines()
    times = [(float(began), float(ended)) for began, ended in map(str.split, lines)]
    figures = {"lanes": LANES, "trials": len(times), "busy": busy(times), "busy in batches": batches(times)}
    rows = [("", "busy"), ("lanes, steady state", f"{busy(times):.1%}"), ("whole batches", f"{batches(times):.1%}")]
    publish("lane_use", f"{len(times)} trials of 2 to 10 s in {LANES} lanes", rows, json.loads(json.dumps(figures)))


if __name__ == "__main__":
    main()
