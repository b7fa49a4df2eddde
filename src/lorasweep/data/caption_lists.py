"""Captions in one file for many images, as other programs keep them: not read, but named, with the command that makes
files of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasweep.text.shell import shell_quoted

MOST = 64 << 20
"""Bytes: what is larger is no list of captions."""

_NAMES = ("file_name", "filename", "file", "image", "image_path", "path")
_COLUMNS = ("text", "caption", "prompt", "tags")
_WRITE = (  # no file that is there is written over
    'import csv, json, os; [open(name, "x", encoding="utf-8").write(row["{column}"]) for row in {rows} '
    'if row.get("{column}") for name in [os.path.splitext(row["{name}"])[0] + "{extension}"] '
    "if not os.path.exists(name)]"
)
_SIDECAR = ("caption", "text", "prompt")
_WRITE_SIDECARS = (
    'import glob, json, os; [open(name, "x", encoding="utf-8").write(d["{key}"]) for f in glob.glob("*.json") '
    'for d, name in [(json.load(open(f, encoding="utf-8")), f[:-5] + "{extension}")] '
    'if "{key}" in d and not os.path.exists(name)]'
)


@dataclass(frozen=True)
class CaptionList:
    """A list of captions.

    Attributes:
        path: of the list, or of the folder where each image has a file of its own.
        names: absolute paths of its images, without extensions.
        command: writes each caption beside its image.
    """

    path: Path
    names: frozenset[Path]
    command: str

    def has(self, image: Path) -> bool:
        """Return whether the list has a caption of an image."""
        return image.absolute().with_suffix("") in self.names


def read_list(path: Path, extension: str) -> CaptionList | None:
    """Return a list of captions, or None for any other file.

    It is a JSON-lines, CSV or TSV file as in data sets of Hugging Face (`file_name`, and `text` or the like), a JSON
    file with a list of the same, or one as of sd-scripts' fine-tuning (image -> `caption` or `tags`), or image -> text.

    Args:
        path: of the file.
        extension: of caption files.
    """
    try:
        rows, source = _rows(path)
    except (OSError, ValueError, csv.Error):
        return None
    rows = [row for row in rows if isinstance(row, dict)]
    name = _first(_NAMES, rows)
    column = _first(_COLUMNS, rows)
    if name is None or column is None:
        return None
    program = _WRITE.format(extension=extension, column=column, name=name, rows=source)
    command = f"cd {shell_quoted(path.parent)} && python -c {shell_quoted(program)}"
    captioned = (row[name] for row in rows if row.get(column) and isinstance(row.get(name), str) and row[name])
    return CaptionList(
        path, frozenset((path.parent.absolute() / image).with_suffix("") for image in captioned), command
    )


def read_sidecar(path: Path, extension: str) -> CaptionList | None:
    """Return the caption that a JSON file such as `a.json` or `a.png.json` has of its image; None where it has none.

    Args:
        path: of the file.
        extension: of caption files.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= MOST else None
    except (OSError, ValueError):
        return None
    key = next((key for key in _SIDECAR if isinstance(found, dict) and isinstance(found.get(key), str)), None)
    if key is None:
        return None
    program = _WRITE_SIDECARS.format(extension=extension, key=key)
    command = f"cd {shell_quoted(path.parent)} && python -c {shell_quoted(program)}"
    return CaptionList(path.parent, frozenset(), command)


def _first(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the first of some names under which the first row has a text."""
    return next((name for name in names if rows and isinstance(rows[0].get(name), str)), None)


def _rows(path: Path) -> tuple[list[Any], str]:
    """Return what a file lists, and the Python expression for it.

    Raises:
        OSError: it cannot be read. ValueError, csv.Error: it is not what its extension says.
    """
    suffix, file = path.suffix.lower(), f'open({json.dumps(path.name)}, encoding="utf-8-sig", newline="")'
    if path.stat().st_size > MOST:
        return [], ""
    with open(path, encoding="utf-8-sig", newline="") as stream:
        if suffix in (".csv", ".tsv"):
            delimiter = "," if suffix == ".csv" else "\t"
            expression = f"csv.DictReader({file}, delimiter={json.dumps(delimiter)})"
            return list(csv.DictReader(stream, delimiter=delimiter)), expression
        if suffix == ".jsonl":
            return list(map(json.loads, filter(str.strip, stream))), f"map(json.loads, filter(str.strip, {file}))"
        found = json.load(stream) if suffix == ".json" else []
    if isinstance(found, list):
        return found, f"json.load({file})"
    if not isinstance(found, dict):
        return [], ""
    pairs = f"for k, v in json.load({file}).items()"
    if all(isinstance(value, str) for value in found.values()):
        rows = [{"file_name": name, "text": text} for name, text in found.items()]
        return rows, f'[{{"file_name": k, "text": v}} {pairs}]'
    rows = [{"file_name": name, **entry} for name, entry in found.items() if isinstance(entry, dict)]
    return rows, f'[{{"file_name": k, **v}} {pairs} if isinstance(v, dict)]'
