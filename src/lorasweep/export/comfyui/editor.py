"""A graph as ComfyUI's editor opens it: the same nodes and links, with a place on the canvas for each.

The format is version 0.4 of ComfyUI's workflow JSON, as https://docs.comfy.org/specs/workflow_json_0.4 has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorasweep.export.comfyui.graph import Graph, Node, Output

WIDTH, GAP = 360, 60  # of a node, and between columns and rows; in the canvas' pixels
HEAD, LINE, TEXT = 40, 26, 130  # heights of a node's title, of a socket or value, of a text of several lines
MARGIN = 30  # between a frame and the nodes in it, apart from its title


def as_editor(graph: Graph) -> dict[str, Any]:
    """Return a graph in the editor's format."""
    links = _links(graph)
    places = _places(graph)
    leaving: dict[tuple[int, int], list[int]] = {}
    for number, link in enumerate(links, start=1):
        leaving.setdefault((link[0].node, link[0].slot), []).append(number)
    arriving = {(target, name): number for number, (_, target, name, _) in enumerate(links, start=1)}
    return {
        "revision": 0,
        "last_node_id": len(graph.nodes),
        "last_link_id": len(links),
        "nodes": [_node(node, places[node.number], leaving, arriving) for node in graph.nodes],
        "links": [
            [number, source.node, source.slot, target, slot, source.type]
            for number, (source, target, _, slot) in enumerate(links, start=1)
        ],
        "groups": _frames(graph, places),
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _links(graph: Graph) -> list[tuple[Output, int, str, int]]:
    """Return every link: from where, to which node, to its input of which name, which is its nth socket."""
    return [
        (node.inputs[name], node.number, name, slot) for node in graph.nodes for slot, name in enumerate(_sockets(node))
    ]


def _sockets(node: Node) -> list[str]:
    return [name for name, taken in node.type.inputs.items() if not taken.is_widget]


def _node(
    node: Node,
    place: tuple[int, int],
    leaving: Mapping[tuple[int, int], list[int]],
    arriving: Mapping[tuple[int, str], int],
) -> dict[str, Any]:
    return {
        "id": node.number,
        "type": node.kind,
        "pos": list(place),
        "size": [WIDTH, _height(node)],
        "flags": {},
        "order": node.number - 1,
        "mode": 0,
        "inputs": [
            {"name": name, "type": node.type.inputs[name].type, "link": arriving[node.number, name]}
            for name in _sockets(node)
        ],
        "outputs": [
            {"name": type, "type": type, "links": leaving.get((node.number, slot), []), "slot_index": slot}
            for slot, type in enumerate(node.type.outputs)
        ],
        "title": node.title,
        "properties": {"Node name for S&R": node.kind},
        "widgets_values": _values(node),
    }


def _values(node: Node) -> list[Any]:
    """Return the values of a node's widgets: beside a seed stands what becomes of it, beside an image its button."""
    found: list[Any] = []
    for name, taken in node.type.inputs.items():
        if taken.is_widget:
            found.append(node.inputs[name])
            found += {"SEED": ["fixed"], "UPLOAD": ["image"]}.get(taken.type, [])
    return found


def _height(node: Node) -> int:
    texts = sum(taken.type == "STRING" and name == "text" for name, taken in node.type.inputs.items())
    return HEAD + LINE * (max(len(_sockets(node)), len(node.type.outputs)) + len(_values(node))) + TEXT * texts


def _places(graph: Graph) -> dict[int, tuple[int, int]]:
    """Return where the upper left corner of each node is: right of all that it is linked to, in its row."""
    columns: dict[int, int] = {}
    for node in graph.nodes:
        columns[node.number] = 1 + max((columns[source.node] for source in node.sources), default=-1)
    filled: dict[tuple[int, int], int] = {}
    offsets: dict[int, int] = {}
    for node in graph.nodes:
        cell = (node.row, columns[node.number])
        offsets[node.number] = filled.get(cell, 0)
        filled[cell] = offsets[node.number] + _height(node) + GAP
    tops, top = {}, 0
    for row in sorted({node.row for node in graph.nodes}):
        tops[row] = top
        top += max(height for (of, _), height in filled.items() if of == row) + 2 * GAP
    return {
        node.number: (columns[node.number] * (WIDTH + GAP), tops[node.row] + offsets[node.number])
        for node in graph.nodes
    }


def _frames(graph: Graph, places: Mapping[int, tuple[int, int]]) -> list[dict[str, Any]]:
    """Return a frame with a title around the nodes of rows that share one."""
    frames = []
    for title in dict.fromkeys(graph.rows.values()):
        inside = [node for node in graph.nodes if graph.rows.get(node.row) == title]
        left = min(places[node.number][0] for node in inside) - MARGIN
        top = min(places[node.number][1] for node in inside) - MARGIN - HEAD - LINE
        right = max(places[node.number][0] + WIDTH for node in inside) + MARGIN
        bottom = max(places[node.number][1] + _height(node) for node in inside) + MARGIN
        frames.append({"title": title, "bounding": [left, top, right - left, bottom - top], "color": "#3f789e"})
    return frames
