"""`lorasweep dashboard`: the W&B workspace of a study or a LoRA, as code, and saved where somebody is logged in."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorasweep.commands.output import write_text
from lorasweep.errors import UserError, one_line

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

    from lorasweep.review.page.choice import Choice


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "dashboard",
        help="write the W&B workspace of a study or a LoRA as code, and save it if logged in",
        epilog="example: lorasweep dashboard fuzzybear-default --page",
    )
    parser.add_argument("target", metavar="STUDY|LORA|FOLDER", help="a study or a LoRA, by its name or folder")
    parser.add_argument(
        "--output-root", type=Path, default=Path("outputs"), help="folder of all versions (default: %(default)s)"
    )
    parser.add_argument("--entity", help="W&B team or user (default: the versions' own, or yours)")
    parser.add_argument("--project", help="W&B project (default: the versions' own)")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="the program (default: dashboard.py in the study's folder)"
    )
    parser.add_argument("--page", action="store_true", help="log the review page too, as an artifact")
    parser.add_argument("--json", action="store_true", help="print the workspace as W&B gets it")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Write the workspace as code; save it and log the review page where that is possible and asked for.

    Raises:
        UserError: there is nothing to show, the package that builds it is missing, or W&B does not take it.
    """
    from lorasweep.review.dashboard import as_code, dashboard, workspace
    from lorasweep.review.page.choice import choose
    from lorasweep.tracking.wandb import hindrance

    choice = choose(args.target, args.output_root)
    versions = choice.versions()
    board = dashboard(choice.title(versions), versions, args.entity, args.project)
    view = workspace(board)
    with contextlib.redirect_stdout(sys.stderr if args.json else sys.stdout):
        write_text(args.out or choice.home / "dashboard.py", as_code(board))
        if args.page:
            _log_page(choice, versions[-1].record.folder)
        if reason := hindrance():
            print(f"not saved to W&B ({reason}); the same command saves it then")
        else:
            print(f"saved {_save(view)}")
    if args.json:
        print(view._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=2))


def _save(view: Workspace) -> str:
    """Save a workspace; return its address.

    Raises:
        UserError: W&B does not take it.
    """
    import wandb

    try:
        view.entity = view.entity or wandb.Api().default_entity or ""
        return str(view.save().url)
    except Exception as error:  # whatever W&B, its server or the network says
        raise UserError(
            f"W&B does not take it ({one_line(error)}): check --entity and --project",
            title="The dashboard is not saved",
        ) from error


def _log_page(choice: Choice, folder: Path) -> None:
    """Log the review page to W&B as an artifact, in a run of its own."""
    from lorasweep.review.page.write import write as write_page
    from lorasweep.tracking.wandb import log_page

    file = choice.home / "review_single.html"
    try:
        write_page(choice, file, single=True)
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error.strerror})", title="Nothing was written") from error
    log_page(folder, file, choice.study or choice.lora or "all", print)
