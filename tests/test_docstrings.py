"""Docstrings say one parameter a line: tools that read them show no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"


def names_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """Return the parameters of a function; of a class its attributes and what it is made with."""
    if isinstance(node, ast.ClassDef):
        inside = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
        attributes = {
            each.target.id
            for each in node.body
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
        }
        assigned = {each.attr for made in inside for each in ast.walk(made) if isinstance(each, ast.Attribute)}
        return attributes.union(assigned, *(names_of(made) for made in inside))
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {each.arg for each in every if each is not None}


def several(doc: str, names: set[str]) -> Iterator[str]:
    """Yield the lines of a docstring's list of parameters that tell of more than one."""
    for section in re.findall(r"^(?:Args|Attributes):\n((?: +.*\n?|\n)+)", doc, re.MULTILINE):
        for line in section.splitlines():
            head = re.match(r" +(?:\*{0,2}\w+)(?P<more>(?:, \*{0,2}\w+)*): ", line)
            later = [name for name in re.findall(r"[.;)] (\w+): ", line) if name in names]
            if (head and head["more"]) or later:
                yield line.strip()


def found(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (doc := ast.get_docstring(node)):
            for line in several(doc, names_of(node)):
                yield f"{path.relative_to(SOURCE)}: {node.name}: {line}"


def test_two_parameters_in_a_line_are_found() -> None:
    lines = "one: the first. two: the second.", "three, four: both.", "five: alone, two: no name."
    doc = "Do it.\n\nArgs:\n" + "".join(f"    {line}\n" for line in lines)
    assert list(several(doc, {"one", "two"})) == list(lines[:2])


def test_every_parameter_has_a_line_of_its_own() -> None:
    paths = sorted(SOURCE.rglob("*.py"))
    lines = [line for path in paths for line in found(path)]
    assert not lines, "\n" + "\n".join(lines)
