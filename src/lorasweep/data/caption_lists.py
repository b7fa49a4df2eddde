"""Captions in one file for many images, as other programs keep them: not read, but named, with the command that makes
files of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasweep.text import shell_quoted

MOST = 64 << 20
"""Bytes: what is larger is no list of captions."""

_COLUMNS = ("text", "caption", "prompt", "tags")
_ROWS = {
    ".jsonl": 'map(json.loads, filter(str.strip, open({name}, encoding="utf-8")))',
    ".csv": 'csv.DictReader(open({name}, encoding="utf-8-sig", newline=""))',
    ".json": '[{{"file_name": k, **v}} for k, v in json.load(open({name}, encoding="utf-8")).items()]',
}
_WRITE = (  # no file that is there is written over
    'import csv, json, os; [open(name, "x", encoding="utf-8").write(r["{column}"]) for r in {rows} '
    'for name in [os.path.splitext(r["file_name"])[0] + "{extension}"] if not os.path.exists(name)]'
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
        names: paths of its images without extensions, from its folder on.
        command: writes each caption beside its image.
    """

    path: Path
    names: frozenset[str]
    command: str

    def has(self, image: Path) -> bool:
        """Return whether the list has a caption of an image below its folder."""
        return str(image.with_suffix("").relative_to(self.path.parent)) in self.names


def read_list(path: Path, extension: str) -> CaptionList | None:
    """Return a list of captions, or None for any other file.

    It is a JSON-lines or CSV file as in data sets of Hugging Face (`file_name`, and `text` or the like), or a JSON file
    as of sd-scripts' fine-tuning (image -> `caption` or `tags`).

    Args:
        path: of the file. extension: of caption files.
    """
    try:
        rows = _rows(path)
    except (OSError, ValueError, csv.Error):
        return None
    column = next((name for name in _COLUMNS if rows and isinstance(rows[0].get(name), str)), None)
    if column is None:
        return None
    source = _ROWS[path.suffix.lower()].format(name=json.dumps(path.name))
    program = _WRITE.format(extension=extension, column=column, rows=source)
    command = f"cd {shell_quoted(path.parent)} && python -c {shell_quoted(program)}"
    names = (str(Path(str(row["file_name"])).with_suffix("")) for row in rows if row.get("file_name"))
    return CaptionList(path, frozenset(names), command)


def read_sidecar(path: Path, extension: str) -> CaptionList | None:
    """Return the caption that a JSON file such as `a.json` or `a.png.json` has of its image; None where it has none.

    Args:
        path: of the file. extension: of caption files.
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


def _rows(path: Path) -> list[Mapping[str, Any]]:
    suffix = path.suffix.lower()
    if suffix not in _ROWS or path.stat().st_size > MOST:
        return []
    if suffix == ".csv":
        with open(path, encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream))
    text = path.read_text(encoding="utf-8")
    if suffix == ".jsonl":
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
        return [row for row in found if isinstance(row, dict)]
    entries = json.loads(text)
    pairs = entries.items() if isinstance(entries, dict) else ()
    return [{"file_name": name, **entry} for name, entry in pairs if isinstance(entry, dict)]
