"""A trial as its job sees it: report, be pruned, note, attach, finish. The job itself tells the study how it ended,
so that a result survives a dead sweeper."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from lorasweep.errors import one_line
from lorasweep.interruption import EXIT_CODES
from lorasweep.lanes.tracebacks import formatted
from lorasweep.search import choices
from lorasweep.search.budget import INTERRUPTED, RETRY_OF
from lorasweep.search.constraint import SECONDS, constrain
from lorasweep.search.identity import TrialIdentity
from lorasweep.search.lease import LEASE, LeaseKeeper, this_process
from lorasweep.search.location import with_password
from lorasweep.search.optuna_internals import storage_of, study_id_of
from lorasweep.search.outages import through_outages
from lorasweep.search.plain import as_number, as_numbers, as_plain
from lorasweep.search.storage import open_storage
from lorasweep.search.traces import write_trace

_ATTACHED: ContextVar[tuple[str, optuna.Study] | None] = ContextVar("study", default=None)


@contextmanager
def attached(url: str, study: optuna.Study) -> Iterator[None]:
    """Let trials of `study` that run in this process use the open study, instead of opening its storage again."""
    token = _ATTACHED.set((url, study))
    try:
        yield
    finally:
        _ATTACHED.reset(token)


@contextmanager
def opened() -> Iterator[Trial | None]:
    """Open the trial that this process's environment names; see `lorasweep.search.trial`."""
    identity = TrialIdentity.from_environment()
    if identity is None:
        yield None
        return
    trial = Trial(_study(identity), identity)
    try:
        yield trial
    except Exception as error:
        trial.fail(one_line(error), error)
        raise
    except SystemExit as leaving:
        if leaving.code in EXIT_CODES:
            trial.interrupt()
        else:  # it would leave again, and again
            trial.fail(f"it left by itself, with exit code {leaving.code or 0}")
        raise
    except BaseException:  # KeyboardInterrupt
        trial.interrupt()
        raise
    finally:
        trial.close()


class Trial:
    """One trial of a study, from inside its job. Made by `lorasweep.search.trial`.

    Args:
        study: its study.
        identity: which trial.
    """

    def __init__(self, study: optuna.Study, identity: TrialIdentity) -> None:
        self._study, self._identity = study, identity
        self._storage = storage_of(study)
        self._trial = optuna.trial.Trial(study, identity.trial_id)
        self._began = time.monotonic()
        self._ended = self._frozen().state.is_finished()
        lease = self._frozen().user_attrs.get(LEASE) or {}
        mine = this_process()
        # In the sweeper's own process the sweeper's keeper holds the lease already.
        own_lease = (lease.get("host"), lease.get("pid")) == (mine["host"], mine["pid"])
        self._keeper = None if own_lease else LeaseKeeper(self._storage, identity.lease_s)
        if self._keeper is not None and not self._ended:
            self._keeper.take(identity.trial_id)
        self._go_on_from_predecessor()

    @property
    def number(self) -> int:
        """The trial's number in its study."""
        return self._identity.number

    @property
    def study_name(self) -> str:
        """The study's name."""
        return self._identity.study

    @property
    def params(self) -> dict[str, Any]:
        """The trial's parameters by key."""
        return dict(self._trial.params)

    @property
    def predecessor(self) -> Mapping[str, Any] | None:
        """What earlier attempts at this trial noted (`folder` and whatever else), the latest last; None for a first.

        An attempt that was killed before it noted anything hides nothing of those before it.
        """
        noted: dict[str, Any] = {}
        for attempt in reversed(self.attempts):
            noted |= attempt.user_attrs
        return noted if self.attempts else None

    @property
    def retry_of(self) -> int | None:
        """Number of the trial that this one retries; None for a first attempt."""
        number: int | None = self._frozen().user_attrs.get(RETRY_OF)
        return number

    @cached_property
    def attempts(self) -> list[FrozenTrial]:
        """The earlier attempts at this trial, the latest first."""
        found: list[FrozenTrial] = []
        current, study_id = self._frozen(), study_id_of(self._study)
        while (number := current.user_attrs.get(RETRY_OF)) is not None:
            current = self._storage.get_trial(self._storage.get_trial_id_from_study_id_trial_number(study_id, number))
            found.append(current)
        return found

    def report(self, step: int, value: float | None) -> str | None:
        """Report an intermediate value; return why to stop now, or None to go on.

        Studies of several objectives do not prune: Optuna's pruners compare one value.

        Args:
            step: what the value belongs to, ascending; a step reported before is ignored.
            value: a number of any kind; None is not reported.

        Raises:
            ValueError: the value is no number.
        """
        if self._frozen().state.is_finished():
            return "the study has given this trial up: it had shown no heartbeat"
        if value is None or len(self._study.directions) > 1:
            return None
        number = as_number(value)
        if step not in self._frozen().intermediate_values:
            through_outages(lambda: self._trial.report(number, int(step)))
        if self._identity.pruner is None or not self._trial.should_prune():
            return None
        kind = str(self._identity.pruner["_target_"]).rpartition(".")[2]
        return f"pruned by the study: {number:.4g} at step {step} ({kind})"

    def note(self, **attributes: Any) -> None:
        """Keep facts with the trial: `version`, `folder`, `seconds`, `metrics`, and whatever else there is to say.

        Numbers and arrays of NumPy, PyTorch and their like are kept as plain ones, what JSON cannot hold as text.
        """
        if not self._frozen().state.is_finished():
            for key, value in attributes.items():
                through_outages(partial(self._trial.set_user_attr, key, as_plain(value)))

    def attach(self, path: Path) -> None:
        """Attach a picture, for optuna-dashboard; without a folder of the study it does nothing."""
        if self._identity.folder is None or self._frozen().state.is_finished() or not path.is_file():
            return
        folder = Path(self._identity.folder, "artifacts")
        folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            store = optuna.artifacts.FileSystemArtifactStore(folder)
            optuna.artifacts.upload_artifact(
                artifact_store=store, file_path=str(path), study_or_trial=self._trial, storage=self._storage
            )

    def finish(self, value: Any) -> None:
        """Tell the study the result; a value that is no finite number fails the trial, never scores it.

        Args:
            value: a number of any kind, an array or tensor of one included; of several objectives a list of these.
        """
        try:
            found = as_numbers(value, len(self._study.directions))
        except ValueError as error:
            self.fail(str(error).replace("it returned", "its result is", 1))
            return
        if not all(map(math.isfinite, found)):
            self.fail(f"the objective is {', '.join(map(str, found))}, not a number")
            return
        if self._finished():
            return
        missing = self._set_constraints()
        if missing:
            self.fail(missing)
            return
        self._end_trial(TrialState.COMPLETE, found)

    def prune(self, reason: str) -> None:
        """Tell the study that this trial stopped early, and why."""
        self._close_with(TrialState.PRUNED, reason=reason)

    def fail(self, reason: str, error: BaseException | None = None) -> None:
        """Tell the study that this trial has no result, and why.

        Args:
            reason: one line.
            error: what was raised; where it was is kept in the study's folder.
        """
        trace = None if error is None else formatted(error)
        if trace is not None and self._identity.folder is not None:
            write_trace(Path(self._identity.folder), self.study_name, self.number, trace)
        self._close_with(TrialState.FAIL, reason=reason)

    def interrupt(self) -> None:
        """Tell the study that this trial was interrupted; the sweeper queues it again."""
        self._close_with(TrialState.FAIL, reason="interrupted", **{INTERRUPTED: True})

    def close(self) -> None:
        """Stop renewing the lease on the trial."""
        if self._keeper is not None:
            self._keeper.close()

    def _close_with(self, state: TrialState, **attributes: Any) -> None:
        if not self._finished():
            self.note(**attributes)
            self._end_trial(state, None)

    def _end_trial(self, state: TrialState, values: list[float] | None) -> None:
        if SECONDS not in self._frozen().user_attrs:
            self.note(seconds=self._seconds())
        through_outages(lambda: self._study.tell(self._trial, values, state, skip_if_finished=True))
        self._ended = True

    def _finished(self) -> bool:
        return self._ended or self._frozen().state.is_finished()

    def _frozen(self) -> FrozenTrial:
        found: FrozenTrial = through_outages(lambda: self._storage.get_trial(self._identity.trial_id))
        return found

    def _go_on_from_predecessor(self) -> None:
        """Take over the values that earlier attempts reported: the continuation will not report them again."""
        if self._ended or len(self._study.directions) > 1:
            return
        known = set(self._frozen().intermediate_values)
        for attempt in self.attempts:
            for step, value in sorted(attempt.intermediate_values.items()):
                if step not in known:
                    known.add(step)
                    self._trial.report(value, step)

    def _set_constraints(self) -> str | None:
        """Set every constraint of the study from the noted metrics; return what is missing, if anything."""
        noted = self._frozen().user_attrs
        metrics = {SECONDS: noted.get(SECONDS, self._seconds())} | (noted.get("metrics") or {})
        found: str | None = through_outages(lambda: constrain(self._trial, self._identity.constraints, metrics))
        return found

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 2)


def _study(identity: TrialIdentity) -> optuna.Study:
    own = _ATTACHED.get()
    if own is not None and own[0] == identity.storage and own[1].study_name == identity.study:
        return own[1]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = choices.pruner(identity.pruner)
    # The job draws nothing: the sweeper asked, with the real sampler.
    return optuna.load_study(
        study_name=identity.study,
        storage=open_storage(with_password(identity.storage)),
        sampler=RandomSampler(),
        pruner=pruner,
    )
