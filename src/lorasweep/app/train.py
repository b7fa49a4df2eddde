"""A job of Hydra's: the version that one config describes, alone, in a multirun or as a trial of a study."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig

import lorasweep
from lorasweep.checks import needs, optimizer
from lorasweep.compose import composition as compose
from lorasweep.compose import precedence, searches
from lorasweep.console.lines import echo, silenced
from lorasweep.errors import USER_ERROR, UserError
from lorasweep.families.opened import OpenedBase
from lorasweep.schema import Config


class TrainVersion:
    """What hydra.main calls per job: trains the version of a composed config and returns its objective.

    The base that a job loads stays loaded for the next job of its process; in a copy that is sent to another process
    none is.
    """

    def __init__(self) -> None:
        self._opened = OpenedBase()

    def __call__(self, config: DictConfig) -> float | None:
        """Train the version of a composed config; return its objective.

        Args:
            config: of Hydra, which must be initialized.

        Raises:
            SystemExit: what the user did wrong is printed.
            CompactHydraException: the same in a multirun.
        """
        return _train(config, self._opened)


def _train(config: DictConfig, opened: OpenedBase) -> float | None:
    job = HydraConfig.get()
    search_path = [
        text for text in job.overrides.hydra if text.startswith("hydra.searchpath=")
    ]  # of recipes of one's own
    line = [*search_path, *job.overrides.task]
    choices = {str(group): str(choice) for group, choice in job.runtime.choices.items() if choice is not None}
    name = job.job.config_name or "config"
    try:
        settled = compose.settle(config, line, name)
        choices = {group: choice for group, choice in choices.items() if not group.startswith("hydra/")}
        if job.mode is RunMode.RUN and is_first():
            for text in [
                subject_line(settled),
                *searches.unsearched(line),
                *override_remarks(config, settled, line, name),
            ]:
                echo(text)
        return _run(settled, line, choices, opened, quiet=job.mode is RunMode.MULTIRUN)
    except UserError as error:
        if job.mode is RunMode.MULTIRUN:  # the other jobs go on; Hydra repeats the message at the end
            raise CompactHydraException(error.render()) from error
        raise SystemExit(report_error(error)) from error


def subject_line(config: Config) -> str:
    """Return what is said before anything heavy is loaded: what is trained on which base."""
    recipe = f" (lora={config.recipe})" if config.recipe else ""
    version = f" {config.resume}" if config.resume else ""
    return f"{config.name}{version}{recipe} on {config.base_model.path or 'the toy base'}"


def override_remarks(composed: DictConfig, config: Config, line: Sequence[str], name: str) -> list[str]:
    """Return what a command line changes of its recipe besides what it says, and what of the recipe changes nothing.

    Args:
        composed: what Hydra composed.
        config: the same, checked; of a resumed version its own.
        line: the overrides. Hydra must be initialized.
        name: the root config's name.
    """
    given = compose.keys_given(line)
    return [
        *precedence.given_way(line, composed, name),
        *needs.unmet_remarks(config, given),
        *optimizer.rate_remarks(config, given),
    ]


def _run(config: Config, line: list[str], choices: dict[str, str], opened: OpenedBase, *, quiet: bool) -> float | None:
    """Train, as a trial of a study if this job is one; `quiet` where the data of all jobs was shown before."""
    from lorasweep import search
    from lorasweep.app import preview
    from lorasweep.studies import trials

    if config.dry_run:
        preview.dry_run(config)
        return None
    with search.trial() as trial:
        if trial is not None:
            return trials.train_trial(trial, config, line, choices, opened)
    with silenced() if quiet else nullcontext():
        seen = preview.show_data(config) if is_first() else None  # of several processes, one tells
    from lorasweep import training  # torch and all the rest: only now that config and data are good

    began = None if quiet else lorasweep.BEGAN  # several versions share a start
    return training.run(training.Job(config, line, choices, seen=seen, began=began), opened)


def report_error(error: UserError) -> int:
    """Print what is wrong, of several processes once, and return the exit code; HYDRA_FULL_ERROR=1 raises it."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        raise error
    if is_first():
        print(error.render(), file=sys.stderr)
    return USER_ERROR


def is_first() -> bool:
    """Return whether this is the only process of a launch, or the one of them that tells."""
    return os.environ.get("RANK", "0") == "0"
