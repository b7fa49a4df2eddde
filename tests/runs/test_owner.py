"""Only `runs/` knows the names in a version's folder and the keys of its record: the source is looked at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import lorasweep

SOURCE = Path(lorasweep.__file__).parent
NAMES = {"record.json", "metrics.jsonl", "train.log", "data.json", "state", "samples", ".hydra", ".lock", "curves.png"}
"""Of files and folders in a version's folder; as a part of a path nobody else gives them."""

PADDED = ("06d", "08d")
"""How epochs and steps are written in them."""


def is_path(node: ast.AST) -> bool:
    """Whether a node divides something by one of the names, as paths are put together."""
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and text_of(node.right) in NAMES


def text_of(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_record(node: ast.AST) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name.endswith("record")


def reads_key(node: ast.AST) -> bool:
    """Whether a node reads a field of a record by a string."""
    if isinstance(node, ast.Subscript):
        return is_record(node.value) and bool(text_of(node.slice))
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get"
    return called and is_record(node.func.value)  # type: ignore[attr-defined]


def is_file_name(node: ast.AST) -> bool:
    """Whether a node is the name of a file of every version by itself, but for what a docstring says of it."""
    return text_of(node) in {name for name in NAMES if "." in name[1:]}


def is_padded(node: ast.AST) -> bool:
    spec = node.format_spec if isinstance(node, ast.FormattedValue) else None
    return isinstance(spec, ast.JoinedStr) and any(text_of(part) in PADDED for part in spec.values)


def findings(source: str) -> Iterator[int]:
    """Yield the lines in which a source does what only `runs/` may do."""
    for node in ast.walk(ast.parse(source)):
        if is_path(node) or reads_key(node) or is_file_name(node) or is_padded(node):
            yield getattr(node, "lineno", 0)


def test_nobody_else_builds_a_name_in_a_version_folder_or_reads_a_key_of_its_record() -> None:
    others = [path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] != "runs"]
    found = [f"{path.relative_to(SOURCE)}:{line}" for path in others for line in findings(path.read_text())]
    assert not found, found


def test_the_look_at_the_source_finds_what_it_is_for() -> None:
    assert [line for text in (
        'folder / "samples" / name',
        'record["status"]',
        'version.record.get("trial")',
        'open("record.json")',
        'f"{name}-{epoch:06d}.safetensors"',
    ) for line in findings(text)] == [1] * 5  # fmt: skip
    assert not list(findings('"""What record.json holds."""\nx = optimizer.state_dict()["state"]\nrecord.status'))
