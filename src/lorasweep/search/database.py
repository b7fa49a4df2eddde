"""A database that can be read once while a trial is asked for, instead of at every step of the asking.

Asking for a trial looks at all trials about four times: is one waiting, is the budget used up, which parameters were
ever drawn, what do the sampler's models learn from. On a database each look costs half a dozen statements, and within
the milliseconds of one asking none of them needs to know more than the first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage


class Database(_CachedStorage):
    """What Optuna itself puts in front of a database, with `read_once` besides."""

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._known: dict[int, set[int]] = {}  # thread -> studies that it has read within its `read_once`

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        known = self._known.get(threading.get_ident())
        if known is None or study_id not in known:
            super()._read_trials_from_remote_storage(study_id)
        if known is not None:
            known.add(study_id)

    @contextmanager
    def _read_once(self) -> Iterator[None]:
        thread = threading.get_ident()
        self._known[thread] = set()
        try:
            yield
        finally:
            del self._known[thread]


@contextmanager
def read_once(storage: BaseStorage) -> Iterator[None]:
    """Let this thread read each study's list of trials once at most; other storages than databases read as ever."""
    if isinstance(storage, Database):
        with storage._read_once():
            yield
    else:
        yield
