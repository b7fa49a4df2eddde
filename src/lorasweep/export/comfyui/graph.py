"""A graph of ComfyUI's nodes, held to what is recorded of them, in the two formats that ComfyUI reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lorasweep.export.comfyui.nodes import NodeType, node_types


@dataclass(frozen=True)
class Output:
    """One output of a node of a graph: what inputs of other nodes are linked to.

    Attributes:
        node: number of the node.
        slot: which of its outputs, from 0.
        type: such as `MODEL`.
    """

    node: int
    slot: int
    type: str


@dataclass(frozen=True)
class Node:
    """One node of a graph.

    Attributes:
        number: its own, from 1.
        kind: name of its kind, such as `KSampler`.
        title: what is written above it.
        inputs: a value for each widget and an output for each socket, in ComfyUI's order.
        row: which row of the editor's canvas it stands in, from 0.
    """

    number: int
    kind: str
    title: str
    inputs: Mapping[str, Any]
    row: int

    @property
    def type(self) -> NodeType:
        """Return what is recorded of its kind."""
        return node_types()[self.kind]

    @property
    def sources(self) -> list[Output]:
        """Return the outputs that it is linked to."""
        return [value for value in self.inputs.values() if isinstance(value, Output)]

    def output(self, type: str) -> Output:
        """Return its output of a type.

        Raises:
            ValueError: it has none.
        """
        return Output(self.number, self.type.outputs.index(type), type)


@dataclass
class Graph:
    """Nodes in an order in which each comes behind those that it is linked to.

    Attributes:
        nodes: the nodes.
        rows: what each row of the editor's canvas is called; rows of one name are framed together.
    """

    nodes: list[Node] = field(default_factory=list)
    rows: dict[int, str] = field(default_factory=dict)

    def add(self, kind: str, title: str, row: int = 0, **inputs: Any) -> Node:
        """Add a node and return it.

        Args:
            kind: a recorded kind of node.
            title: what is written above it.
            row: which row of the editor's canvas it is to stand in.
            **inputs: a value for each widget, an `Output` for each socket.

        Raises:
            ValueError: ComfyUI would refuse the node: an input is missing, unknown, or of another type.
        """
        known = node_types()[kind].inputs
        if wrong := sorted(known.keys() ^ inputs.keys()):
            raise ValueError(f"{kind}: {', '.join(wrong)}: missing or unknown")
        for name, taken in known.items():
            value = inputs[name]
            fits = taken.takes(value) if taken.is_widget else isinstance(value, Output) and value.type == taken.type
            if not fits:
                raise ValueError(f"{kind}.{name}={value!r} is no {taken.type} {taken.details or ''}".rstrip())
        node = Node(len(self.nodes) + 1, kind, title, {name: inputs[name] for name in known}, row)
        self.nodes.append(node)
        return node

    @property
    def packs(self) -> list[str]:
        """Return the packs of nodes that ComfyUI needs besides its own."""
        return sorted({node.type.pack for node in self.nodes} - {"ComfyUI"})

    def files(self, folder: str) -> list[str]:
        """Return the names of the files that the graph reads from a folder of ComfyUI, such as `models/loras`."""
        found = [
            node.inputs[name]
            for node in self.nodes
            for name, taken in node.type.inputs.items()
            if taken.type in ("FILE", "UPLOAD") and taken.details == (folder,)
        ]
        return list(dict.fromkeys(found))


def as_api(graph: Graph) -> dict[str, Any]:
    """Return a graph as ComfyUI's server takes it (`/prompt`): node number -> kind and inputs."""
    return {
        str(node.number): {
            "class_type": node.kind,
            "inputs": {
                name: [str(value.node), value.slot] if isinstance(value, Output) else value
                for name, value in node.inputs.items()
            },
            "_meta": {"title": node.title},
        }
        for node in graph.nodes
    }
