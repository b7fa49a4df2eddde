"""What Optuna keeps to itself and a search needs all the same: its private names are used in this module alone.

Optuna's public way to a trial is to run it in `Study.optimize`, or to ask for it and tell it in one process. Here a
trial is asked for by one process, run by another, and ended by whichever of them is still alive. So trials are read
and written by their ids in the storage, for which Optuna has no public names.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import GridSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial

FIXED_PARAMS = "fixed_params"
"""System attribute of a trial that waits: the parameters that it is to have."""
GRID_ID = "grid_id"
"""System attribute of a grid's trial: which point it is."""


def storage_of(study: optuna.Study) -> BaseStorage:
    """Return the storage of a study: `Study` alone can neither end a trial of another process nor lease one."""
    return study._storage


def study_id_of(study: optuna.Study) -> int:
    """Return a study's id in its storage, which lists and creates trials by it."""
    return int(study._study_id)


def trial_id_of(trial: optuna.Trial | FrozenTrial) -> int:
    """Return a trial's id in its storage: the storage knows trials by it, not by their numbers."""
    return int(trial._trial_id)


def suggest(trial: optuna.Trial, key: str, distribution: BaseDistribution) -> Any:
    """Draw a parameter of a trial from a distribution.

    `Study.ask` takes distributions too, but where a sampler fails it leaves a trial that runs for ever behind.
    """
    return trial._suggest(key, distribution)


def within(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether a distribution holds a value; Optuna only asks that itself, as it takes a value over.

    Raises:
        TypeError, ValueError: it is of another kind.
    """
    return bool(distribution._contains(distribution.to_internal_repr(value)))


def points_of(sampler: GridSampler) -> list[tuple[tuple[str, Any], ...]]:
    """Return the points of a grid in the order of their ids, (key, value) in the order of the keys.

    The sampler knows which of its points it has given out, not which have been tried in other ways.
    """
    return [tuple(zip(sampler._param_names, values, strict=True)) for values in sampler._all_grids]


class Database(_CachedStorage):
    """What Optuna itself puts in front of a database, and `read_once` besides.

    Asking for a trial looks at all trials about four times: is one waiting, is the budget used up, which parameters
    were ever drawn, what do the sampler's models learn from. On a database each look costs half a dozen statements,
    and within the milliseconds of one asking none of them needs to know more than the first.

    Args:
        backend: the database.
    """

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
    def reading_once(self) -> Iterator[None]:
        """Let this thread read each study's list of trials once at most while entered."""
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
        with storage.reading_once():
            yield
    else:
        yield
