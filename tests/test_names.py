"""One word names one thing, and names are the field's: what functions, classes, parameters and variables are called."""

import ast
import re
from collections import defaultdict
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "lorasweep"
TREES = {path.relative_to(SOURCE): ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}

CONVENTIONAL = {"add", "arguments", "build", "load", "main", "prepare", "problems", "run"}
"""What a registry, a table or Python itself calls by name: one idea wherever it stands."""
NAMESAKES = {"runs/paths.py", "runs/command_lines.py"}
"""Their functions are called as the files and the commands are: `paths.manifest(folder)`, `commands.train(line)`."""
HOOKS = {"studies/hooks.py"}
"""Called by name, from a config."""

PRIVATE = set(
    re.findall(
        r"\w+",
        """ails awake bury buried company crown crowned dear discretion drawn hear heard held hollow inert leave leaves
        lend lender lends said say says shown tell teller tells told trainings vain""",
    )
)
"""Words that name nothing in this field; in sentences they are English."""


def names_in(tree: ast.Module) -> set[str]:
    """Return whatever a file gives a name to."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                found.add(name)
            case ast.alias(asname=str(name)):
                found.add(name)
    return found


def words_of(name: str) -> set[str]:
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


def test_a_function_or_class_of_one_name_is_in_one_room() -> None:
    rooms: dict[str, dict[str, str]] = defaultdict(dict)
    for path, tree in TREES.items():
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if node.name not in CONVENTIONAL and path.as_posix() not in NAMESAKES | HOOKS:
                rooms[node.name].setdefault(path.parts[0], path.as_posix())
    found = {name: sorted(paths.values()) for name, paths in rooms.items() if len(paths) > 1}
    assert not found, found


def test_names_are_the_fields() -> None:
    found = {
        path.as_posix(): wrong
        for path, tree in TREES.items()
        if (wrong := sorted(name for name in names_in(tree) | {path.stem} if words_of(name) & PRIVATE))
    }
    assert not found, found
