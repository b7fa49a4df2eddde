"""Nobody but a family names what is a family's own: its parts, its conditioning, its schedule, its numbers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "lorasweep"
OWNERS = {
    "families": "their own folders",
    "toy": "builds a base that has SDXL's parts",
    "schema": "keys and words that users know",
    "export": "kohya's names of metadata",
    "app": "examples in the help",
}
ROOMS = sorted({path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py")} - OWNERS.keys())
OWN = re.compile(
    r"sdxl|unet|text_encoder|size_ids|time_ids|pooled|alphas_cumprod|prediction_type|scaling_factor"
    r"|latent_factor|autoencoder",
    re.IGNORECASE,
)
"""Parts and tensors of SDXL, in names and in texts."""
NUMBERS = {75, 77, 150, 225, 999, 1000}
"""Lengths of CLIP's captions, and the timesteps of its schedule."""

COUNTS = {("fid.py", 1000), ("mmd.py", 999)}
"""Numbers of images and of permutations, which are nobody's timesteps."""


def named(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every name and every text of a file but for its documentation, with the line that it is in."""
    tree = ast.parse(path.read_text())
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    } | {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documents:
            yield node.lineno, str(node.value)
        elif isinstance(node, ast.Name | ast.Attribute | ast.arg | ast.keyword | ast.alias):
            name = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "arg", None)
            yield node.lineno, str(name or getattr(node, "name", ""))
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, str(node.module)


def files_of(room: str) -> list[Path]:
    return [SOURCE / room] if room.endswith(".py") else sorted((SOURCE / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_no_other_room_names_what_is_a_familys_own(room: str) -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {text}"
        for path in files_of(room)
        for line, text in named(path)
        if OWN.search(text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("room", ["adapters", "metrics", "optim", "training"])
def test_no_other_room_counts_as_a_family_does(room: str) -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {text}"
        for path in files_of(room)
        for line, text in named(path)
        if text.isdigit() and int(text) in NUMBERS and (path.name, int(text)) not in COUNTS
    ]
    assert not found, "\n".join(found)
