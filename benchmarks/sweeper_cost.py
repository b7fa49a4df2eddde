"""What the sweeper itself costs per trial: asking, signing, starting, telling, on each storage.

    .venv/bin/python benchmarks/sweeper_cost.py [--trials 1000] [--postgres URL]

A study of three parameters whose lane answers at once, so that all time is the sweeper's own: TPE, the storage, the
bookkeeping. The figure at N is the median of the ten trials up to N. Goal: a median of 50 ms.
"""

from __future__ import annotations

import argparse
import itertools
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import publish
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from lorasweep.lanes.work import Ended, Work
from lorasweep.review.report import TerminalReporter
from lorasweep.search import study as studies
from lorasweep.search.location import StudyLocation
from lorasweep.search.loop import Search
from lorasweep.search.plan import SearchPlan
from lorasweep.search.settings import Settings
from lorasweep.search.space import Space
from lorasweep.search.storage import open_storage
from lorasweep.search.sweeper import SearchContext, next_trial

AT = (10, 100, 1000)
SPACE = Space(
    {
        "lr": FloatDistribution(1e-5, 1e-2, log=True),
        "rank": IntDistribution(2, 64),
        "kind": CategoricalDistribution(["a", "b", "c"]),
    }
)


class Instant:
    """A lane whose trials end at once."""

    capacity = 1

    def __init__(self) -> None:
        self.times: list[float] = []
        self._work: list[Work] = []

    def start(self, work: Work) -> None:
        """Take the work."""
        self._work.append(work)

    def wait(self, seconds: float) -> list[Ended]:
        """Answer with a value made of the parameters."""
        ended = [Ended(work.number, value=float(hash(work.overrides) % 1000)) for work in self._work]
        self._work = []
        self.times.append(time.perf_counter())
        return ended

    def stop(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing to give back."""


class Silent:
    """An observer that shows nothing."""

    def finished(self, trial: FrozenTrial) -> None:
        """Say nothing."""

    def print_line(self, line: str) -> None:
        """Say nothing."""


def cost(url: str, trials: int) -> list[float]:
    """Return the seconds of each trial of a study."""
    settings = Settings(sampler={"_target_": "optuna.samplers.TPESampler", "seed": 0}, storage=url, n_trials=trials,
                        pruner={"_target_": "optuna.pruners.MedianPruner"}, max_failure_rate=1.0)  # fmt: skip
    storage, lane = open_storage(url), Instant()
    with tempfile.TemporaryDirectory() as folder:
        location = StudyLocation(f"cost{time.time()}", url, Path(folder))
        study = studies.open_study(settings, location, SPACE, storage)
        plan = SearchPlan(settings, SPACE, OmegaConf.create(), [], [])
        context = SearchContext(plan, location, storage, lane, TerminalReporter())
        search = Search(study, location, settings, lane, Silent(), lambda: next_trial(context, search),
                        context.overrides, budget=trials, prunes=True)  # fmt: skip
        started = time.perf_counter()
        search.run()
    moments = [started, *lane.times]
    return [after - before for before, after in itertools.pairwise(moments)]


@contextmanager
def served(url: str) -> Iterator[str]:
    """Serve a storage through Optuna's gRPC proxy, in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = f"from lorasweep.search.storage import serve_storage as serve; serve({url!r}, '127.0.0.1', {port})"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=AT[-1])
    parser.add_argument("--postgres", help="URL of a PostgreSQL server, to measure it too")
    options = parser.parse_args()
    at = [n for n in AT if n <= options.trials]
    rows = [("storage", *(f"at {n} trials" for n in at), "growth")]
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        urls = {"journal": f"journal:///{home}/j.log", "sqlite": f"sqlite:///{home}/s.db"}
        if options.postgres:
            urls["postgresql"] = options.postgres
        with served(f"journal:///{home}/g.log") as proxy:
            for name, url in {**urls, "grpc (journal)": proxy}.items():
                seconds = cost(url, at[-1])
                found = [1000 * statistics.median(seconds[n - 10 : n]) for n in at]
                rows.append((name, *(f"{ms:.1f} ms" for ms in found), f"x {found[-1] / found[0]:.1f}"))
                figures[name] = {f"ms_at_{n}": ms for n, ms in zip(at, found, strict=True)}
                print(name, rows[-1], flush=True)
    publish("sweeper_cost", "The sweeper's own time per trial (median of ten)", rows, figures)


if __name__ == "__main__":
    main()
