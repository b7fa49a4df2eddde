"""Leases on trials: who runs one, and whether they still do. Works on every storage, for jobs never started too.

A trial's `lease` attribute names host, process and an expiry that its holder renews again and again: its heartbeat.
A trial is dead once the lease has run out, or at once if it was held by a process of this host that is gone.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

LEASE = "lease"
JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
"""Where batch systems tell a job its number."""


def host() -> str:
    """Return what tells this machine, and this container on it, from others: process numbers mean nothing elsewhere."""
    with suppress(OSError):
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()


def this_process() -> dict[str, Any]:
    """Return who this process is: host, pid, the process's start (seconds since 1970), and the batch job, if any."""
    job = next((os.environ[name] for name in JOB_VARIABLES if name in os.environ), None)
    return {"host": host(), "pid": os.getpid(), "started": psutil.Process().create_time(), "job": job}


def holder(lease: Mapping[str, Any]) -> str:
    """Return who holds a lease, in words."""
    job = f", job {lease['job']}" if lease.get("job") else ""
    return f"process {lease['pid']} on {str(lease['host']).split()[0]}{job}"


def why_stale(trial: FrozenTrial, lease_s: float, now: float) -> str | None:
    """Return why a running trial is taken for dead, or None while there is hope.

    Args:
        trial: in state RUNNING.
        lease_s: seconds that a lease lasts.
        now: seconds since 1970.
    """
    lease = trial.user_attrs.get(LEASE)
    if lease is None:  # its sweeper died between asking for it and taking a lease
        began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        return "nobody ever took a lease on it" if now > began + lease_s else None
    if lease["host"] == host():
        try:
            if abs(psutil.Process(lease["pid"]).create_time() - lease["started"]) < 1:
                return None
        except psutil.NoSuchProcess:
            pass
        return f"{holder(lease)} is gone"
    return f"no heartbeat from {holder(lease)}" if now > lease["expires"] else None


class LeaseKeeper:
    """Renews leases on trials from a thread of its own, as long as this process lives.

    Args:
        storage: where the trials are.
        lease_s: how long a lease lasts; it is renewed three times as often.
    """

    def __init__(self, storage: BaseStorage, lease_s: float) -> None:
        self._storage, self._lease_s = storage, lease_s
        self._mine = this_process()
        self._trials: set[int] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, name="leases", daemon=True)
        self._thread.start()

    def take(self, trial_id: int) -> None:
        """Take the lease on a trial, and renew it from now on."""
        self._renew_lease(trial_id)
        with self._lock:
            self._trials.add(trial_id)

    def drop(self, trial_id: int) -> None:
        """Stop renewing the lease on a trial."""
        with self._lock:
            self._trials.discard(trial_id)

    def close(self) -> None:
        """Stop renewing leases."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _renew_lease(self, trial_id: int) -> None:
        self._storage.set_trial_user_attr(
            trial_id, LEASE, self._mine | {"expires": round(time.time() + self._lease_s, 1)}
        )

    def _keep_renewing(self) -> None:
        while not self._stop.wait(self._lease_s / 3):
            with self._lock:
                trial_ids = list(self._trials)
            for trial_id in trial_ids:
                try:
                    lease = self._storage.get_trial(trial_id).user_attrs.get(LEASE)
                    if lease and (lease["host"], lease["pid"]) != (self._mine["host"], self._mine["pid"]):
                        self.drop(trial_id)  # the job has started and holds the lease itself
                    else:
                        self._renew_lease(trial_id)
                except (UpdateFinishedTrialError, KeyError):
                    self.drop(trial_id)
                except Exception as error:  # a storage that is away for a moment: try again next time
                    logging.getLogger(__name__).debug("lease of trial %s not renewed: %s", trial_id, error)
