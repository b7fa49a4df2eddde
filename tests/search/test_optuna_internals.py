"""Optuna's private names stand in one module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import lorasweep
from lorasweep.search import optuna_internals

SOURCE = Path(lorasweep.__file__).parent


def private_names(tree: ast.Module) -> Iterator[str]:
    """Yield the private names of Optuna's that a module uses: imported, of its objects, or through its classes."""
    from_optuna = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "optuna"
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "optuna":
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from (part for part in parts if is_private(part))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node.value):
            yield node.attr
        elif isinstance(node, ast.ClassDef) and from_optuna & {ast.unparse(base) for base in node.bases}:
            yield from inherited(node)


def inherited(node: ast.ClassDef) -> Iterator[str]:
    """Yield the private attributes that a class uses of itself but does not set or define."""
    own = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    uses = [part for part in ast.walk(node) if isinstance(part, ast.Attribute) and is_own(part.value)]
    own |= {part.attr for part in uses if isinstance(part.ctx, ast.Store)}
    yield from (part.attr for part in uses if is_private(part.attr) and part.attr not in own)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def is_own(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def used_in(path: Path) -> set[str]:
    return set(private_names(ast.parse(path.read_text())))


def test_no_other_module_of_those_that_know_optuna_touches_a_private_name() -> None:
    here = Path(optuna_internals.__file__)
    paths = [path for path in SOURCE.rglob("*.py") if path != here and "optuna" in path.read_text()]
    assert len(paths) > 20
    found = {str(path.relative_to(SOURCE)): sorted(names) for path in paths if (names := used_in(path))}
    assert not found, found


def test_the_search_sees_what_it_is_to_find() -> None:
    code = (
        "import optuna\nfrom optuna.storages._cached import _Cached\nfrom optuna.samplers import GridSampler\n"
        "class Own(GridSampler):\n    def f(self):\n        self._mine = self._all_grids\n"
        "study._storage.get(self._study._study_id, optuna.x._y)\n"
    )
    found = set(private_names(ast.parse(code)))
    assert found == {"_cached", "_Cached", "_all_grids", "_storage", "_study_id", "_y"}
    assert {"_storage", "_trial_id", "_CachedStorage"} <= used_in(Path(optuna_internals.__file__))
