"""The house has floors: nothing imports upward, nothing imports in a circle, and the front door opens fast."""

import ast
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "lorasweep"

# From the ground up. A room may import from its own floor (within itself) and from the floors below.
FLOORS = [
    {"errors", "interruption", "randomness", "text"},
    {"files", "config", "diffusion", "sweeping"},
    {
        "weights",
        "commands",
        "lock",
        "ledger",
        "data",
        "bases",
        "toy",
        "tracking",
        "pictures",
        "console",
        "closing",
        "retention",
    },
    {"adapters", "evaluation"},
    {
        "checks",
        "overrides",
        "resuming",
        "suggestions",
        "searches",
        "groups",
        "typed",
        "precedence",
        "preview",
        "arguments",
        "hydra_settings",
        "compose",
    },
    {"export"},
    {"training"},
    {
        "help",
        "reference",
        "launch",
        "cli",
        "comparison",
        "cleaning",
        "verbs",
        "studies",
        "adaptive",
        "history",
    },
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imports_of(path: Path) -> list[str]:
    """Return every `lorasweep.*` module that a file imports, in functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lorasweep"):
            found += [node.module] if node.module != "lorasweep" else [f"lorasweep.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("lorasweep.")]
    return found


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in SOURCE.rglob("*.py")} - {"__init__"}
    assert rooms <= set(FLOOR)


def test_nothing_imports_upward_or_sideways_in_a_circle() -> None:
    edges = {
        (room_of(path), name.split(".")[1])
        for path in SOURCE.rglob("*.py")
        if room_of(path) != "__init__"
        for name in imports_of(path)
    }
    upward = sorted((a, b) for a, b in edges if FLOOR[b] > FLOOR[a])
    assert not upward, f"imports upward: {upward}"
    circles = sorted((a, b) for a, b in edges if a < b and (b, a) in edges)
    assert not circles, f"rooms that import each other: {circles}"


def test_config_imports_no_torch() -> None:
    code = "import sys, lorasweep.config, lorasweep.checks, lorasweep.compose; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
