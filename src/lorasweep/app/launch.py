"""What `train.py` does around Hydra: help, a look at the whole command line before anything starts, the run.

An error that the user can put right ends in one message on stderr and exit code 2; HYDRA_FULL_ERROR=1 shows
where it was raised.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig

import lorasweep
from lorasweep.app import help
from lorasweep.checks import needs, optimizer
from lorasweep.compose import arguments, overrides, precedence, searches
from lorasweep.compose import composition as compose
from lorasweep.compose.arguments import Arguments
from lorasweep.console import say, silenced
from lorasweep.errors import USER_ERROR, Problem, UserError
from lorasweep.schema import Config
from lorasweep.text.encoding import escape_output


def main(app: Callable[[], None], conf: Path, argv: Sequence[str]) -> int:
    """Run a Hydra app whose configs are in `conf`; return the exit code.

    Args:
        app: the function that hydra.main decorated, which reads sys.argv itself; what stands there is made readable.
        conf: its config folder.
        argv: the command line without the program.
    """
    escape_output()
    given = arguments.read(argv)
    args = given.hydra
    wishes = {"-m": given.several, "--cfg": args.cfg, "--info": args.info, "--shell-completion": args.shell_completion}
    if len(asked := [option for option, is_given in wishes.items() if is_given]) > 1:
        return _told(UserError(f"{' and '.join(asked)}: expected one of them; a single version's line goes without -m"))
    if args.help:
        print(help.text(conf))
        return 0
    compose.register()
    try:
        configs = [] if args.hydra_help or args.shell_completion or args.info else _look_ahead(given, conf)
        if given.supplied and not args.cfg:
            say(f"dataset.path without a recipe: {' '.join(given.supplied)}")
        sys.argv[1:] = given.argv
        if configs and given.several:
            from lorasweep.app import preview

            preview.look_at_all(configs)
            return _multirun(app, {config.output_root for config in configs})
        app()
    except UserError as error:
        return _told(error)
    return 0


def _multirun(app: Callable[[], None], roots: Collection[str]) -> int:
    """Run several jobs, in this process or in others, and compare the versions that came of them.

    Args:
        app: as `main` has it.
        roots: the folders that the versions are in.
    """
    from lorasweep.review.comparison import groups, table
    from lorasweep.runs import ledger

    mark = os.environ[ledger.MULTIRUN] = secrets.token_hex(8)
    try:
        app()
    finally:
        made = [version for root in sorted(roots) for version in ledger.versions(root)]
        # A search compares its trials itself.
        made = [v for v in made if v.record.multirun == mark and v.record.trial is None]
        if len(made) > 1:
            print()
            table.show(groups.compare(made))
    return 0


def train(config: DictConfig) -> float | None:
    """Train the version of a composed config and return its objective; hydra.main calls this per job."""
    job = HydraConfig.get()
    places = [text for text in job.overrides.hydra if text.startswith("hydra.searchpath=")]  # of recipes of one's own
    line = [*places, *job.overrides.task]
    choices = {str(group): str(choice) for group, choice in job.runtime.choices.items() if choice is not None}
    name = job.job.config_name or "config"
    try:
        settled = compose.settle(config, line, name)
        choices = {group: choice for group, choice in choices.items() if not group.startswith("hydra/")}
        if job.mode is RunMode.RUN and _is_first():
            for text in [opening(settled), *searches.unsearched(line), *_remarks(config, settled, line, name)]:
                say(text)
        return _run(settled, line, choices, told=job.mode is RunMode.MULTIRUN)
    except UserError as error:
        if job.mode is RunMode.MULTIRUN:  # the other jobs go on; Hydra repeats the message at the end
            raise CompactHydraException(error.render()) from error
        raise SystemExit(_told(error)) from error


def opening(config: Config) -> str:
    """Return what is said before anything heavy is loaded: what is trained on which base."""
    recipe = f" (lora={config.recipe})" if config.recipe else ""
    version = f" {config.resume}" if config.resume else ""
    return f"{config.name}{version}{recipe} on {config.base_model.path or 'the toy base'}"


def _remarks(composed: DictConfig, config: Config, line: Sequence[str], name: str) -> list[str]:
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
        *needs.told(config, given),
        *optimizer.told(config, given),
    ]


def _run(config: Config, line: list[str], choices: dict[str, str], *, told: bool = False) -> float | None:
    """Train, as a trial of a study if this job is one; `told`: what it learns from, before all jobs."""
    from lorasweep import search
    from lorasweep.app import preview
    from lorasweep.studies import trials

    if config.dry_run:
        preview.dry_run(config)
        return None
    with search.trial() as trial:
        if trial is not None:
            return trials.train_trial(trial, config, line, choices)
    with silenced() if told else nullcontext():
        seen = preview.look(config) if _is_first() else None  # of several processes, one tells
    from lorasweep import training  # torch and all the rest: only now that config and data are good

    began = None if told else lorasweep.BEGAN  # several versions share a start
    return training.run(config, overrides=line, choices=choices, seen=seen, began=began)


def _look_ahead(given: Arguments, conf: Path) -> list[Config]:
    """Compose and check what is asked for, every value of a multirun too, before Hydra starts anything.

    Returns:
        The configs of the versions; none where only the config is to be shown.
    """
    args, several = given.hydra, given.several
    line, name = list(args.overrides), args.config_name or "config"
    if args.experimental_rerun:
        raise UserError(f"--experimental-rerun={args.experimental_rerun}: pickled files are never read")
    if args.config_path:
        conf = conf.parent / args.config_path
    for folder in (conf, Path(args.config_dir or conf)):
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder of configs; check --config-path and --config-dir")
    if several and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "a search gives each trial its place itself, so it is not started through accelerate launch: run "
            "`python train.py -m ...` with hydra/launcher=lanes, a trial per GPU"
        )
    problems: dict[Problem, None] = {}
    configs: list[Config] = []
    ways: dict[str, str] = {}
    remarks: dict[str, None] = {}
    with compose.composing(conf):
        problems |= dict.fromkeys(overrides.options(given.foreign))
        asked = searches.judge(line, name, several=several)
        problems |= dict.fromkeys(asked.problems)
        for variant in overrides.variants([*asked.line, *asked.tried]) if several else [asked.line]:
            try:
                if args.cfg:
                    compose.compose(variant, name)
                    continue
                composed, config = compose.load_both(variant, name)
                configs.append(config)
                if several:  # a single run says them itself, below its opening line
                    remarks |= dict.fromkeys(_remarks(composed, config, variant, name))
            except UserError as error:
                problems |= dict.fromkeys(error.problems)
                ways |= error.ways
    if several and any(config.dry_run for config in configs):
        why = "dry_run=true looks at one version: leave -m out, and give each key one value"
        problems[Problem(why, "dry_run")] = None
    if problems:
        raise UserError(list(problems), ways=ways)
    for text in remarks:
        say(text)
    return configs


def _told(error: UserError) -> int:
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        raise error
    if _is_first():
        print(error.render(), file=sys.stderr)
    return USER_ERROR


def _is_first() -> bool:
    """Return whether this is the only process of a launch, or the one of them that tells."""
    return os.environ.get("RANK", "0") == "0"
