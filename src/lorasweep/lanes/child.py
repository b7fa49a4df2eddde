"""The child's side of a lane: `python -m lorasweep.lanes.child FD` runs the work that comes over a connection.

It gets the app once and then one piece of work after another, all in this process, so that what the app has loaded
stays loaded. It leaves when the connection ends: after, not before, the work in hand, when the controller died.
"""

from __future__ import annotations

import pickle
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import configure_log, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from lorasweep.interruption import SIGNALS, listening
from lorasweep.lanes.work import Ended, Work, failure_reason, job_ended, job_failed

IDLE_S = 0.5  # how often an idle lane looks whether it was asked to stop


@dataclass(frozen=True)
class App:
    """What a job needs beside its overrides: the task, and how Hydra was set up.

    Attributes:
        task: what hydra.main decorated.
        context: the config loader and the callbacks.
        config: the composed config of the whole multirun.
        singletons: Hydra's global state (config store, resolvers), from Singleton.get_state().
    """

    task: TaskFunction
    context: HydraContext
    config: DictConfig
    singletons: Any

    def configure_log(self) -> None:
        """Log as between the jobs of a multirun."""
        allowed = getattr(self.context, "execution_whitelist", None)  # from Hydra 1.4 on
        more = {} if allowed is None else {"execution_whitelist": allowed}
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose, **more)


class Requests:
    """Signals that ask this lane to stop: remembered; while work is in hand they raise KeyboardInterrupt in it.

    A task that has its own way to be interrupted listens itself.
    """

    def __init__(self) -> None:
        self.made = False
        self._working = False

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let signals interrupt the block; one that came before stops it from beginning."""
        self._working = True
        try:
            if self.made:
                raise KeyboardInterrupt
            yield
        finally:
            self._working = False

    def remember(self, _: signal.Signals) -> None:
        """Note one more."""
        self.made = True
        if self._working:
            raise KeyboardInterrupt


def main(argv: Sequence[str]) -> int:
    """Run the lane whose connection has the file descriptor argv[0]; return the exit code."""
    requests = Requests()
    with listening(requests.remember):
        # The controller starts a lane with all of them blocked, so that none is lost or fatal before this line.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return run_until_closed(Connection(int(argv[0])), requests)


def run_until_closed(connection: Connection[Any, Any], requests: Requests) -> int:
    """Run what comes over the connection until it ends or a signal asks for it; return the exit code."""
    try:
        sys.path[:] = connection.recv()  # before the app: its modules may lie beside its script
        parcel = connection.recv_bytes()
    except (EOFError, OSError):  # the controller is gone already
        return 0
    try:
        app, problem = unpack(parcel), None
    except Exception as error:
        traceback.print_exc()
        app, problem = None, f"the app could not be loaded in a lane: {failure_reason(error)}"
    while True:
        try:
            if not connection.poll(0 if requests.made else IDLE_S):
                if requests.made:
                    return 0
                continue
            work: Work = connection.recv()
        except (EOFError, OSError):
            return 0
        ended = run_work(app, work, requests) if app else Ended(work.number, error=problem)
        sys.stdout.flush()
        try:
            connection.send_bytes(_packed(ended))
        except OSError:
            return 0


def pack(app: App) -> bytes:
    """Return `app` as bytes. Functions and classes of the script that was started go by value.

    Raises:
        Exception: of any type; something in the app cannot be pickled.
    """
    return cloudpickle.dumps((app.task, app.context, app.config, app.singletons))


def unpack(parcel: bytes) -> App:
    """Make the app of `pack`, and put Hydra's global state in its place.

    Raises:
        Exception: of any type; a module of the app cannot be imported here.
    """
    app = App(*pickle.loads(parcel))
    Singleton.set_state(app.singletons)
    setup_globals()
    app.configure_log()
    return app


def run_work(app: App, work: Work, requests: Requests) -> Ended:
    """Run one job and return how it ended; whatever the task raises, the lane goes on."""
    visible = [text for text in filter_overrides(work.overrides) if text not in work.hidden]
    print(f"--- {work.number}: {' '.join(visible)}", flush=True)
    try:
        with requests.working():
            config = app.context.config_loader.load_sweep_config(app.config, list(work.overrides))
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num = str(work.number), work.number
            returned = run_job(
                hydra_context=app.context,
                task_function=app.task,
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
    except KeyboardInterrupt:
        return Ended(work.number, error="interrupted", outside=True)
    except BaseException as error:  # SystemExit too: it is the job that leaves, not the lane
        if not isinstance(error, SystemExit):
            traceback.print_exc()
        return job_failed(work.number, error)
    finally:
        app.configure_log()  # the job had its own
    ended = job_ended(work.number, returned)
    if ended.error is not None:
        traceback.print_exception(returned._return_value)
        returned._return_value = None  # what was raised may not be fit to be sent; its error says it in words
    return replace(ended, job=returned) if work.whole else replace(ended, value=_small(ended.value))


def _small(value: Any) -> Any:
    """Return an objective's value as plain numbers, so that nobody needs a GPU, or PyTorch, to read it."""
    return value.tolist() if hasattr(value, "tolist") else value


def _packed(ended: Ended) -> bytes:
    try:
        return cloudpickle.dumps(ended)
    except Exception as error:
        kind = type(ended.value).__name__
        return pickle.dumps(Ended(ended.number, error=f"the task returned a {kind} that cannot be sent: {error}"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
