"""`lorasweep <verb>`: everything that is not training."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lorasweep import files, ledger
from lorasweep.config import THEMES
from lorasweep.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, or 2 with a message for what the user can put right."""
    args = _parser().parse_args(argv)
    try:
        args.verb(args)
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

    versions = verbs.add_parser("versions", help="list the versions trained so far and how good they are")
    versions.add_argument("name", nargs="?", help="only those of one LoRA, such as FuzzyBear")
    versions.add_argument("--output-root", default="outputs", help="folder of all versions (default: %(default)s)")
    versions.set_defaults(verb=_versions)

    themes = verbs.add_parser("themes", help="draw the themed datasets, images and captions")
    themes.add_argument("folder", type=Path, metavar="FOLDER", help="gets a folder per theme")
    themes.add_argument("--resolution", type=int, default=64, help="side in pixels, 8 or more (default: %(default)s)")
    themes.add_argument("--theme", choices=THEMES, action="append", help="only this one (may be given several times)")
    themes.set_defaults(verb=_themes)

    reference = verbs.add_parser("reference", help="write the config reference from the schema")
    reference.add_argument("-o", "--out", type=Path, default=Path("docs/config-reference.md"))
    reference.set_defaults(verb=_reference)
    return parser


def _recipe(args: argparse.Namespace) -> None:
    from lorasweep.export.recipe import recipe_from_file

    text = recipe_from_file(args.file)
    if args.out is None:
        print(text, end="")
    else:
        _write(args.out, text)


def _versions(args: argparse.Namespace) -> None:
    found = ledger.versions(args.output_root, args.name)
    if not found:
        of_name = f" of {args.name}" if args.name else ""
        raise UserError(
            f"{args.output_root} holds no version{of_name}: train one first, or give --output-root",
            title="There is nothing to list",
        )
    rows = [("name", "version", "status", "recipe", "epoch", "objective", "value", "folder")]
    for version in found:
        record, objective = version.record, version.record.get("objective") or {}
        value, epoch = objective.get("value"), record.get("selected_epoch")
        rows.append(
            (
                version.name,
                f"v{version.number}",
                record.get("status", ""),
                record.get("recipe", ""),
                "" if epoch is None else str(epoch),
                objective.get("name", ""),
                "" if value is None else f"{value:.4f}",
                str(version.folder),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


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


def _reference(args: argparse.Namespace) -> None:
    from lorasweep.compose import CONF
    from lorasweep.reference import markdown

    _write(args.out, markdown(CONF))


def _write(path: Path, text: str) -> None:
    try:
        files.write_atomic(path, text)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror})", title="Nothing was written") from error
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
