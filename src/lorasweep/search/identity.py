"""Which trial a job runs: passed on through its environment, which every launcher passes on."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
from dataclasses import asdict, dataclass
from typing import Any

VARIABLE = "LORASWEEP_TRIAL"

LAUNCHERS = (
    "hydra._internal.core_plugins.basic_launcher",
    "hydra_plugins.hydra_joblib_launcher._core",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher",
)
"""Loggers that print every job's overrides."""


class RedactIdentityFilter(logging.Filter):
    """Leaves identities out of what launchers log: nobody can read them, and a storage's URL may hold a password."""

    _LONG = re.compile(rf" ?\+hydra\.job\.env_set\.{VARIABLE}='[^']*'")

    def filter(self, record: logging.LogRecord) -> bool:
        """Take identities out of a record's message, and let it pass."""
        text = record.getMessage()
        if VARIABLE in text:
            record.msg, record.args = self._LONG.sub("", text), ()
        return True


def keep_out_of_logs() -> None:
    """Let the known launchers log no identities; calling it again changes nothing."""
    for name in LAUNCHERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, RedactIdentityFilter) for known in logger.filters):
            logger.addFilter(RedactIdentityFilter())


@dataclass(frozen=True)
class TrialIdentity:
    """All that a job must know to report to its study from anywhere.

    Attributes:
        storage: URL of the study's storage, without a password: this ends up in files.
        study: its name.
        trial_id: the trial's in its storage.
        number: the trial's in its study.
        pruner: the pruner as a plain dict with `_target_`; None prunes never.
        lease_s: seconds that a lease on the trial lasts.
        constraints: texts such as `seconds <= 600`, checked when the trial finishes.
        folder: the study's, for pictures that trials attach and tracebacks; None keeps none.
    """

    storage: str
    study: str
    trial_id: int
    number: int
    pruner: dict[str, Any] | None
    lease_s: float
    constraints: tuple[str, ...] = ()
    folder: str | None = None

    def override(self) -> str:
        """Return the override that puts this identity into a job's environment; the job's own config has no trace."""
        text = base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()
        return f"+hydra.job.env_set.{VARIABLE}='{text}'"

    @classmethod
    def from_environment(cls) -> TrialIdentity | None:
        """Return the identity of this process's current job; None outside a study."""
        text = os.environ.get(VARIABLE)
        if not text:
            return None
        values = json.loads(base64.urlsafe_b64decode(text))
        return cls(**values | {"constraints": tuple(values["constraints"])})
