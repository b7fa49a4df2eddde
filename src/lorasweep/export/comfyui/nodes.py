"""The nodes of ComfyUI that workflows are made of, as recorded in nodes.json: their inputs, in order, and outputs.

Recorded from ComfyUI's own nodes.py and comfy_extras, and from the node packs ComfyUI_IPAdapter_plus and PuLID_ComfyUI.
Optional inputs that no workflow here sets are not recorded, nor are all samplers and schedules. An input is either a
socket, whose type another node's output has (`MODEL`, `CLIP`, ...), or a widget, which holds a value: `INT` and `FLOAT`
with their limits, `SEED` (a whole number that the editor may change after each run), `STRING`, `BOOLEAN`, `COMBO` with
choices, `FILE` and `UPLOAD` with the folder that the file lies in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

WIDGETS = ("INT", "FLOAT", "SEED", "STRING", "BOOLEAN", "COMBO", "FILE", "UPLOAD")


@dataclass(frozen=True)
class Input:
    """One input of a kind of node.

    Attributes:
        type: of the socket, or of the widget.
        details: a widget's limits, choices or folder.
    """

    type: str
    details: tuple[Any, ...] = ()

    @property
    def is_widget(self) -> bool:
        """Return whether it holds a value; else another node is linked to it."""
        return self.type in WIDGETS

    def takes(self, value: Any) -> bool:
        """Return whether a widget takes a value."""
        match self.type:
            case "INT" | "SEED":
                return isinstance(value, int) and self.details[0] <= value <= self.details[1]
            case "FLOAT":
                return isinstance(value, int | float) and self.details[0] <= value <= self.details[1]
            case "BOOLEAN":
                return isinstance(value, bool)
            case "COMBO":
                return value in self.details
            case _:
                return isinstance(value, str)


@dataclass(frozen=True)
class NodeType:
    """A kind of node.

    Attributes:
        pack: who brings it: ComfyUI itself, or a pack of nodes that is installed into it.
        inputs: by name, in ComfyUI's order, which is the order of a node's values in the editor's format.
        outputs: the type of each, in order.
    """

    pack: str
    inputs: Mapping[str, Input]
    outputs: tuple[str, ...]


@cache
def node_types() -> Mapping[str, NodeType]:
    """Return every recorded kind of node by its name."""
    recorded = json.loads((files(__package__) / "nodes.json").read_text(encoding="utf-8"))
    return {
        name: NodeType(
            pack=entry["pack"],
            inputs={key: Input(kind, tuple(details)) for key, (kind, *details) in entry["inputs"].items()},
            outputs=tuple(entry["outputs"]),
        )
        for name, entry in recorded.items()
    }
