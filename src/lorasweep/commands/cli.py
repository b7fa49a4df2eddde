"""`lorasweep <verb>`: everything that is not training."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lorasweep import files
from lorasweep.commands import clean, versions
from lorasweep.errors import UserError
from lorasweep.schema import THEMES
from lorasweep.text import escape_output

if TYPE_CHECKING:
    import optuna

REFERENCE = Path("docs/config-reference.md")  # of a checkout


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, or 2 with a message for what the user can put right."""
    escape_output()
    args = _parser().parse_args(argv)
    try:
        args.verb(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads (head, less) has seen enough. What is left must not be written again as Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UserError as error:
        print(error.render(), file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lorasweep", description="Everything about LoRA versions but training them.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    recipe = verbs.add_parser("recipe", help="write the config that trains a weights file again, from the file alone")
    recipe.add_argument("file", type=Path, metavar="FILE", help="a .safetensors file of ours or of kohya's scripts")
    recipe.add_argument("-o", "--out", type=Path, help="where to write it; default: print it")
    recipe.set_defaults(verb=_recipe)

    versions.add(verbs)
    clean.add(verbs)

    themes = verbs.add_parser("themes", help="draw the themed datasets, images and captions")
    themes.add_argument("folder", type=Path, metavar="FOLDER", help="gets a folder per theme")
    themes.add_argument("--resolution", type=int, default=64, help="side in pixels, 8 or more (default: %(default)s)")
    themes.add_argument("--theme", choices=THEMES, action="append", help="only this one (may be given several times)")
    themes.set_defaults(verb=_themes)

    study = verbs.add_parser("study", help="show what a search found: leaderboard, plots, the best version")
    study.add_argument("name", nargs="?", help="the study; without it all studies are listed")
    study.add_argument(
        "--output-root", type=Path, default=Path("outputs"), help="folder of all versions (default: %(default)s)"
    )
    study.add_argument("--storage", metavar="URL", help="where the study is kept, if not in its own folder")
    study.add_argument("--top", type=int, metavar="N", help="print only the best N trials")
    study.add_argument("--plots", type=Path, metavar="FOLDER", help="draw the study's plots there")
    form = study.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the leaderboard as JSON")
    form.add_argument("--csv", action="store_true", help="print the leaderboard as comma-separated values")
    study.set_defaults(verb=_study)

    storage = verbs.add_parser("storage", help="serve a study's storage to other machines as grpc://HOST:PORT")
    storage.add_argument("url", metavar="URL", help="journal:///study.log, sqlite:///study.db, postgresql://...")
    storage.add_argument(
        "--host", default="localhost", help="address to listen on; 0.0.0.0 for all (default: %(default)s)"
    )
    storage.add_argument("--port", type=int, default=13000, help="1 to 65535 (default: %(default)s)")
    storage.set_defaults(verb=_storage)

    reference = verbs.add_parser("reference", help="print the config reference, or write it to a file")
    reference.add_argument("-o", "--out", type=Path, help=f"(default: {REFERENCE} if it is there, else the terminal)")
    reference.set_defaults(verb=_reference)
    return parser


def _recipe(args: argparse.Namespace) -> None:
    from lorasweep.export.recipe import recipe_from_file

    text = recipe_from_file(args.file, args.out)
    if args.out is None:
        print(text, end="")
    else:
        if args.out.is_file() and args.out.read_bytes() != text.encode():
            raise UserError(
                f"{args.out} has other content: remove it, or give -o another name", title="Nothing written"
            )
        _write(args.out, text)
        for line in text.splitlines():
            if "python train.py" in line:
                print(line.removeprefix("# "))


def _themes(args: argparse.Namespace) -> None:
    from lorasweep.toy.themes import write_theme

    if args.resolution < 8:
        raise UserError(f"--resolution {args.resolution}: expected 8 pixels or more", title="Nothing was drawn")
    for theme in args.theme or THEMES:
        try:
            folder = write_theme(theme, args.folder / theme, size=(args.resolution, args.resolution))
        except OSError as error:
            raise UserError(f"{args.folder} cannot be written ({error.strerror})", title="Nothing was drawn") from error
        print(f"{theme}: {len(list(folder.glob('*.png')))} images in {folder}")


def _study(args: argparse.Namespace) -> None:
    from lorasweep import studies
    from lorasweep.sweeping import leaderboard, lookup

    if args.name is None:
        _studies(args)
        return
    found = lookup.find(args.name, args.output_root, args.storage)
    rows = leaderboard.rows(found.study, found.finals)
    top = None if args.top is None else max(1, args.top)
    if args.json:
        print(json.dumps(leaderboard.as_json(found.study, rows[:top]), indent=2, ensure_ascii=False, allow_nan=False))
    elif args.csv:
        print(leaderboard.as_csv(found.study, rows[:top]), end="")
    else:
        leaderboard.show(found.study, rows, top=top)
        if equals := studies.as_good(found.study, rows):
            print(f"As good as the best: {equals}.")
        dashboard = found.dashboard()
        more = {"dashboard": dashboard} if dashboard is not None else {}
        leaderboard.show_pairs("", studies.next_steps(found.study, rows) | more)
    if args.plots is not None:
        _plots(args, found.study)


def _studies(args: argparse.Namespace) -> None:
    """List the studies: how many trials each has, and its best."""
    from lorasweep.sweeping import leaderboard, lookup

    places = lookup.places(args.output_root, args.storage)
    if not places:
        raise UserError(
            f"{args.storage or args.output_root / 'studies'} holds no study: "
            "start one with python train.py -m hydra/sweeper=optuna, or give --output-root or --storage",
            title="There is nothing to list",
        )
    lines = {}
    for name in places:
        found = lookup.find(name, args.output_root, args.storage)
        rows = leaderboard.rows(found.study, found.finals)
        lines[name] = leaderboard.summary(rows)
    leaderboard.show_pairs("studies", lines)


def _plots(args: argparse.Namespace, study: optuna.Study) -> None:
    from lorasweep.sweeping import plots

    # What the program prints as JSON or CSV must stay that alone.
    out = sys.stderr if args.json or args.csv else sys.stdout
    try:
        drawn = plots.draw(study, args.plots)
    except OSError as error:
        raise UserError(f"{args.plots} cannot be written ({error.strerror})", title="Nothing was drawn") from error
    for path in drawn.files:
        print(f"wrote {path}", file=out)
    for name, reason in drawn.left_out.items():
        print(f"left out {name}: {reason}", file=out)


def _storage(args: argparse.Namespace) -> None:
    from lorasweep.sweeping import storage

    if not 1 <= args.port <= 65535:
        raise UserError(f"--port {args.port}: expected 1 to 65535", title="The storage cannot be served")

    def ready() -> None:
        print(f"serving {storage.shown(args.url)} as grpc://{args.host}:{args.port} (Ctrl-C ends it)", flush=True)

    storage.serve(args.url, args.host, args.port, ready)


def _reference(args: argparse.Namespace) -> None:
    from lorasweep.compose.composition import CONF
    from lorasweep.reference import markdown

    out = args.out or (REFERENCE if REFERENCE.exists() else None)
    if out is None:
        print(markdown(CONF), end="")
    else:
        _write(out, markdown(CONF))


def _write(path: Path, text: str) -> None:
    try:
        files.write_atomic(path, text)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror})", title="Nothing was written") from error
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
