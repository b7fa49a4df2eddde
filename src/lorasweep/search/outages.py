"""A storage that does not answer for a while: how that is recognised, and lived through."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from optuna.exceptions import StorageInternalError

OUTAGE_WAITS = (1.0, 4.0, 15.0, 40.0)
"""Seconds between tries when the storage does not answer."""


def is_outage(error: BaseException) -> bool:
    """Return whether an error says that a storage, which was opened, does not answer any more."""
    return isinstance(error, StorageInternalError | OSError) or any(
        kind.__name__ == "RpcError"
        for kind in type(error).__mro__  # gRPC's, which may not be installed
    )


def through_outages(action: Callable[[], Any]) -> Any:
    """Do something with the storage; where a server is away for a moment, try again for about a minute.

    A run of hours must not be lost because a database was restarted.
    """
    for wait in OUTAGE_WAITS:
        try:
            return action()
        except Exception as error:
            if not is_outage(error):
                raise
            time.sleep(wait)
    return action()
