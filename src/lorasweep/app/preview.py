"""What a run will learn from, told before anything heavy is loaded; and the dry run, which ends there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from lorasweep.console.lines import echo, tracked
from lorasweep.data.providers import with_images
from lorasweep.data.survey import Survey, plan_of, survey
from lorasweep.errors import Problem, UserError
from lorasweep.schema import Config
from lorasweep.text.encoding import readable
from lorasweep.text.lines import WARNING


def show_data(config: Config) -> Survey:
    """Return what a run learns from, after telling it.

    Raises:
        UserError: everything that is wrong with the data, at once; or what does not go with the number of steps.
    """
    seen = survey(with_images(config, progress=tracked), progress=tracked)
    _print_data(config, seen)
    plan_of(config, seen)
    return seen


def show_all_data(configs: Iterable[Config]) -> None:
    """Look at the data of several runs before the first of them starts, and tell what there is to tell once.

    Raises:
        UserError: everything that is wrong with the data of any of them.
    """
    problems: dict[Problem, None] = {}
    printed: set[str] = set()
    for alike in _of_same_data(configs):
        config = alike[0]
        try:
            seen = survey(with_images(config, progress=tracked), progress=tracked)
        except UserError as error:
            problems |= dict.fromkeys(error.problems)
            continue
        lines = seen.report.lines()
        if not printed:
            _print_data(config, seen)
        else:  # of settings of the same data only what is new and hardly meant
            for line in lines:
                if line.startswith(WARNING) and line not in printed:
                    echo(line)
        printed |= set(lines)
        problems |= {problem: None for each in alike for problem in _of_steps(each, seen)}
    if problems:
        raise UserError(list(problems))


def _of_steps(config: Config, seen: Survey) -> list[Problem]:
    """Return what does not go with the number of steps that a run comes to."""
    try:
        plan_of(config, seen)
    except UserError as error:
        return error.problems
    return []


def _of_same_data(configs: Iterable[Config]) -> Iterable[list[Config]]:
    """Return the configs, those with the same images and captions together."""
    groups: dict[str, list[Config]] = {}
    for config in configs:
        settings = asdict(config)
        key = repr([settings[part] for part in ("dataset", "base_model", "compat", "evaluation")])
        key += repr((config.training.batch_size, config.loss.preservation_class, config.loss.unmasked_weight))
        groups.setdefault(key, []).append(config)
    return groups.values()


def dry_run(config: Config) -> None:
    """Tell what a run would learn from and how many steps it would take; nothing is kept, not even in the cache.

    Raises:
        UserError: as `show_data`.
    """
    quietly = partial(tracked, quiet=True)
    with tempfile.TemporaryDirectory() as home:
        seen = survey(with_images(config, home=Path(home), progress=quietly), keep=False, progress=quietly)
        _print_data(config, seen)
        for line in plan_of(config, seen).explain().splitlines():
            echo(f"  {line}")
    echo("nothing was trained or written (dry_run=true)")


def _print_data(config: Config, seen: Survey) -> None:
    source = f"the drawn theme {config.dataset.theme}" if config.dataset.path is None else readable(config.dataset.path)
    echo(f"learns from {source}")
    for line in seen.report.lines():
        echo(line)
