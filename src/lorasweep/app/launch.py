"""What `train.py` and `lorasweep train` do around Hydra: help, a look at the whole command line first, the run.

An error that the user can put right ends in one message on stderr and exit code 2; HYDRA_FULL_ERROR=1 shows
where it was raised.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import hydra

from lorasweep import program
from lorasweep.app import help
from lorasweep.app.train import TrainVersion, report_error
from lorasweep.app.train import override_remarks as remarks_of
from lorasweep.compose import arguments, overrides, searches
from lorasweep.compose import composition as compose
from lorasweep.compose.arguments import Arguments
from lorasweep.console.lines import echo
from lorasweep.errors import Problem, UserError
from lorasweep.schema import Config
from lorasweep.text.encoding import escape_output


def main(argv: Sequence[str], command: str) -> int:
    """Train what a command line asks for, one version or several; return the exit code.

    Args:
        argv: the command line without the program.
        command: what it begins with, such as `python train.py`; commands that are printed begin with it too.
    """
    escape_output()
    os.environ[program.COMMAND] = command
    given = arguments.read_command_line(argv)
    args = given.hydra
    wishes = {"-m": given.several, "--cfg": args.cfg, "--info": args.info, "--shell-completion": args.shell_completion}
    if len(asked := [option for option, is_given in wishes.items() if is_given]) > 1:
        return report_error(
            UserError(f"{' and '.join(asked)}: expected one of them; a single version's line goes without -m")
        )
    compose.register()
    try:
        conf, *own = _folders(args)
        if args.help:
            print(help.text(conf, *own))
            return 0
        configs = [] if args.hydra_help or args.shell_completion or args.info else _look_ahead(given, conf)
        if given.supplied and not args.cfg:
            echo(f"dataset.path without a recipe: {' '.join(given.supplied)}")
        # Hydra reads the command line from there. Of an option that is given twice the last one counts.
        sys.argv[1:] = [*given.argv, *([f"--config-path={conf}"] if args.config_path else [])]
        app = hydra.main(version_base=compose.VERSION_BASE, config_path=str(conf), config_name="config")(TrainVersion())
        if configs and given.several:
            from lorasweep.app import preview

            preview.show_all_data(configs)
            return _multirun(app, {config.output_root for config in configs})
        app()
    except UserError as error:
        return report_error(error)
    return 0


def _multirun(app: Callable[[], None], roots: Collection[str]) -> int:
    """Run several jobs, in this process or in others, and compare the versions that came of them.

    Args:
        app: what hydra.main made of the job.
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


def _folders(args: argparse.Namespace) -> list[Path]:
    """Return the folder of the configs, and after it that of the user's own, if one is given.

    Args:
        args: Hydra's options.

    Raises:
        UserError: there is no such folder.
    """
    conf = program.conf()
    if args.config_path:  # from here, or beside the program's own
        here = Path(args.config_path).absolute()
        conf = here if here.is_dir() else conf.parent / args.config_path
    folders = [conf, *([Path(args.config_dir)] if args.config_dir else [])]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder of configs; check --config-path and --config-dir")
    return folders


def _look_ahead(given: Arguments, conf: Path) -> list[Config]:
    """Compose and check what is asked for, every value of a multirun too, before Hydra starts anything.

    Args:
        given: the command line.
        conf: the folder of the configs.

    Returns:
        The configs of the versions; none where only the config is to be shown.
    """
    args, several = given.hydra, given.several
    line, name = list(args.overrides), args.config_name or "config"
    if args.experimental_rerun:
        raise UserError(f"--experimental-rerun={args.experimental_rerun}: pickled files are never read")
    if several and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "a search gives each trial its place itself, so it is not started through accelerate launch: run "
            f"`{program.command()} -m ...` with hydra/launcher=lanes, a trial per GPU"
        )
    problems: dict[Problem, None] = {}
    configs: list[Config] = []
    ways: dict[str, str] = {}
    remarks: dict[str, None] = {}
    with compose.composing(conf):
        problems |= dict.fromkeys(overrides.options(given.foreign, line))
        asked = searches.judge_search(line, name, several=several)
        problems |= dict.fromkeys(asked.problems)
        for variant in overrides.variants([*asked.line, *asked.tried]) if several else [asked.line]:
            try:
                if args.cfg:
                    compose.compose(variant, name)
                    continue
                composed, config = compose.load_both(variant, name)
                configs.append(config)
                if several:  # a single run says them itself, below its opening line
                    remarks |= dict.fromkeys(remarks_of(composed, config, variant, name))
            except UserError as error:
                problems |= dict.fromkeys(error.problems)
                ways |= error.ways
    if several and any(config.dry_run for config in configs):
        why = "dry_run=true looks at one version: leave -m out, and give each key one value"
        problems[Problem(why, "dry_run")] = None
    if problems:
        raise UserError(list(problems), ways=ways)
    for text in remarks:
        echo(text)
    return configs
