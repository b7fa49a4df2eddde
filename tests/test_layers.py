"""The rooms of the package: nothing imports upward, nothing imports in a circle, and a config is composed fast."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "lorasweep"

PLAN = (SOURCE.parents[1] / "docs" / "architecture.md").read_text()
ROOMS = re.findall(r"^\| `(\w+)` \| ", PLAN, re.MULTILINE)
"""From the ground up: a room imports from itself and from those above it in the document's table."""
FLOOR = {room: number for number, room in enumerate(ROOMS)}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    module_of(path): path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or not path.name.startswith("__")
}


def imports_of(path: Path) -> set[str]:
    """Return every module of the package that a file imports, in functions too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lorasweep":
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    short = [name.removeprefix("lorasweep.") for name in names if name.startswith("lorasweep.")]
    return {name if name in MODULES else name.rpartition(".")[0] for name in short} - {"", module_of(path)}


IMPORTS = {module: imports_of(path) for module, path in MODULES.items()}


def room_of(module: str) -> str:
    return module.split(".")[0]


def test_every_room_has_its_place_in_the_list() -> None:
    assert {room_of(module) for module in MODULES} == set(ROOMS)
    assert len(ROOMS) == len(FLOOR)


def test_nothing_imports_upward() -> None:
    upward = sorted(
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        for name in names
        if FLOOR[room_of(name)] > FLOOR[room_of(module)]
    )
    assert not upward, upward


def test_nothing_imports_in_a_circle_of_any_length() -> None:
    circles = []
    graph = {module: set(names) for module, names in IMPORTS.items()}
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
            break
        except graphlib.CycleError as error:
            circle = error.args[1]
            circles.append(" -> ".join(reversed(circle)))
            graph[circle[1]].discard(circle[0])
    assert not circles, circles


SEARCH_USES = {"lanes", "search", "text", "errors", "files", "interruption"}
DECLARED = {"schema.keys", "schema.limits", "schema.nodes", "schema.option"}  # how an option is, not which there are


def test_the_search_works_in_any_app_and_the_lanes_without_a_study() -> None:
    """Neither knows what is trained; the lanes know nothing of Optuna either."""
    beyond = sorted(
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        if room_of(module) in ("lanes", "search")
        for name in names
        if room_of(name) not in SEARCH_USES and name not in DECLARED
    )
    assert not beyond, beyond
    assert not [path for module, path in MODULES.items() if room_of(module) == "lanes" and "optuna" in path.read_text()]


def test_nothing_in_the_product_imports_the_toy() -> None:
    """The rest knows its drawings as a provider in a registry, and its weights by their path."""
    found = sorted(
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        for name in names
        if room_of(name) == "toy" != room_of(module)
    )
    assert not found, found


def test_config_imports_no_torch() -> None:
    code = (
        "import sys, lorasweep.schema, lorasweep.checks, lorasweep.compose.composition; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
