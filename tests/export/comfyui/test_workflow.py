"""Workflows are held to ComfyUI's nodes as they were recorded, in both formats."""

from __future__ import annotations

import json
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

import pytest

import lorasweep.export.comfyui
from lorasweep.export.comfyui.editor import as_editor
from lorasweep.export.comfyui.graph import Graph, as_api
from lorasweep.export.comfyui.workflow import Helper, Reference, WorkflowPlan, build_graph, literal
from lorasweep.pictures.prompts import Prompt

RECORDED = json.loads((Path(lorasweep.export.comfyui.__file__).parent / "nodes.json").read_text())
PROMPTS = [Prompt("a bear (blue)", 0, True), Prompt("a bear (blue)", 7, True), Prompt("a dog", 0, False)]
EXTRAS: dict[str, dict[str, Any]] = {
    "plain": {},
    "helpers": {"helpers": [Helper("nice_hands.safetensors", 0.5), Helper("light.safetensors")]},
    "refiner": {"refiner": "sd_xl_refiner_1.0.safetensors"},
    "pulid": {"reference": Reference("pulid", "face.png", 0.6)},
    "ip-adapter": {"reference": Reference("ip-adapter", "face.png", 0.6)},
    "velocity and VAE": {"velocity": True, "zero_snr": True, "vae": "vae.safetensors"},
    "full fine-tune": {"lora": None, "strengths": [1.0]},
    "all": {
        "helpers": [Helper("nice_hands.safetensors")],
        "refiner": "refiner.safetensors",
        "reference": Reference("pulid", "face.png", 0.6),
        "velocity": True,
        "vae": "vae.safetensors",
    },
}


def plan(**changes: Any) -> WorkflowPlan:
    usual: dict[str, Any] = {
        "stem": "Bear_v6",
        "checkpoint": "base.safetensors",
        "lora": "Bear_v6.safetensors",
        "strengths": [0.0, 0.8],
        "prompts": PROMPTS,
        "negative": "blurry",
        "side": 1024,
        "steps": 30,
        "guidance": 5.0,
    }
    return WorkflowPlan(**(usual | changes))


@pytest.fixture(params=EXTRAS.values(), ids=EXTRAS.keys())
def graph(request: pytest.FixtureRequest) -> Graph:
    return build_graph(plan(**request.param))


def test_the_api_format_has_recorded_nodes_with_inputs_of_their_types(graph: Graph) -> None:
    prompt = json.loads(json.dumps(as_api(graph)))
    seen: set[str] = set()
    for number, node in prompt.items():
        recorded = RECORDED[node["class_type"]]
        assert list(node["inputs"]) == list(recorded["inputs"])
        for name, (kind, *details) in recorded["inputs"].items():
            value = node["inputs"][name]
            if isinstance(value, list):
                source, slot = value
                assert source in seen, "a node stands before one that it is linked to"
                assert RECORDED[prompt[source]["class_type"]]["outputs"][slot] == kind
            elif kind in ("INT", "SEED", "FLOAT"):
                assert details[0] <= value <= details[1]
            elif kind == "COMBO":
                assert value in details
            else:
                assert isinstance(value, bool if kind == "BOOLEAN" else str)
        seen.add(number)


def test_the_editors_format_is_the_same_graph(graph: Graph) -> None:
    """Read back as the editor reads it: links by their numbers, values by their order."""
    workflow = json.loads(json.dumps(as_editor(graph)))
    links = {link[0]: link for link in workflow["links"]}
    assert len(links) == len(workflow["links"]) and workflow["last_link_id"] == max(links)
    assert workflow["last_node_id"] == max(node["id"] for node in workflow["nodes"])
    read = {}
    for node in workflow["nodes"]:
        values = iter(node["widgets_values"])
        sockets = {socket["name"]: socket for socket in node["inputs"]}
        inputs: dict[str, Any] = {}
        for name, (kind, *_) in RECORDED[node["type"]]["inputs"].items():
            if name in sockets:
                _, source, slot, target, arrives, type = links[sockets[name]["link"]]
                assert (target, node["inputs"][arrives]["name"], type) == (node["id"], name, kind)
                inputs[name] = [str(source), slot]
            else:
                inputs[name] = next(values)
                if kind in ("SEED", "UPLOAD"):
                    assert next(values) in ("fixed", "image")
        assert next(values, None) is None
        read[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": {"title": node["title"]}}
    assert read == as_api(graph)
    leaving = [(number, node["id"], output["slot_index"]) for node in workflow["nodes"] for output in node["outputs"]
               for number in output["links"]]  # fmt: skip
    assert sorted(leaving) == sorted((link[0], link[1], link[2]) for link in links.values())


def test_no_node_of_the_canvas_covers_another(graph: Graph) -> None:
    workflow = as_editor(graph)
    title = 30  # the editor draws it above a node's place
    boxes = [
        (x, y - title, x + w, y + h) for node in workflow["nodes"] for (x, y), (w, h) in [(node["pos"], node["size"])]
    ]
    assert not [
        (one, other)
        for one, other in combinations(boxes, 2)
        if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    ]
    frames = [group["bounding"] for group in workflow["groups"]]
    assert all(upper[1] + upper[3] <= lower[1] for upper, lower in pairwise(frames))


def test_there_is_a_picture_for_each_strength_prompt_and_seed() -> None:
    graph = build_graph(plan())
    pictures = {
        node.inputs["filename_prefix"]: chain(graph, node.number) for node in graph.nodes if node.kind == "SaveImage"
    }
    assert len(pictures) == 2 * len(PROMPTS)
    for (index, prompt), strength in product(enumerate(PROMPTS), (0.0, 0.8)):
        path = pictures[f"Bear_v6/strength_{strength:.2f}/prompt_{index:02d}_seed_{prompt.seed}"]
        sampler, lora = path["KSampler"][0], path["LoraLoader"][0]
        assert (sampler["seed"], sampler["steps"], sampler["cfg"]) == (prompt.seed, 30, 5.0)
        assert (lora["strength_model"], lora["strength_clip"]) == (strength, strength)
        assert {text["text"] for text in path["CLIPTextEncode"]} == {literal(prompt.text), "blurry"}


def chain(graph: Graph, number: int) -> dict[str, list[Any]]:
    """Return the inputs of every node that a node hangs on, by kind."""
    found: dict[str, list[Any]] = {}
    left, seen = [number], set()
    while left:
        node = graph.nodes[left.pop() - 1]
        if node.number not in seen:
            seen.add(node.number)
            found.setdefault(node.kind, []).append(node.inputs)
            left += [source.node for source in node.sources]
    return found


def test_the_helper_comes_with_every_picture_and_the_reference_behind_the_lora() -> None:
    reference = Reference("pulid", "face.png", 0.6)
    graph = build_graph(plan(helpers=[Helper("nice_hands.safetensors", 0.5)], reference=reference))
    for node in graph.nodes:
        if node.kind == "KSampler":
            follows = graph.nodes[node.inputs["model"].node - 1]
            lora = graph.nodes[follows.inputs["model"].node - 1]
            helper = graph.nodes[lora.inputs["model"].node - 1]
            assert (follows.kind, follows.inputs["weight"]) == ("ApplyPulid", 0.6)
            assert lora.inputs["lora_name"] == "Bear_v6.safetensors"
            assert (helper.inputs["lora_name"], helper.inputs["strength_clip"]) == ("nice_hands.safetensors", 0.5)
            assert graph.nodes[lora.inputs["clip"].node - 1] is helper
    assert graph.packs == ["PuLID_ComfyUI"] and graph.files("input") == ["face.png"]


@pytest.mark.parametrize(("steps", "switch"), [(30, 24), (25, 20), (1, 1), (2, 2)])
def test_the_refiner_goes_on_where_the_base_stopped(steps: int, switch: int) -> None:
    graph = build_graph(plan(refiner="refiner.safetensors", steps=steps))
    found = [node.inputs for node in graph.nodes if node.kind == "KSamplerAdvanced"]
    for base, refiner in zip(found[::2], found[1::2], strict=True):
        assert (base["start_at_step"], base["end_at_step"], base["add_noise"]) == (0, switch, "enable")
        assert (refiner["start_at_step"], refiner["add_noise"]) == (switch, "disable")
        assert base["return_with_leftover_noise"] == "enable" and refiner["return_with_leftover_noise"] == "disable"
        assert graph.nodes[refiner["latent_image"].node - 1].inputs == base
        assert refiner["model"].node != base["model"].node


def test_a_graph_refuses_what_comfyui_would() -> None:
    graph = Graph()
    loader = graph.add("CheckpointLoaderSimple", "base", ckpt_name="base.safetensors")
    with pytest.raises(ValueError, match=r"CLIPTextEncode.clip=.* is no CLIP"):
        graph.add("CLIPTextEncode", "prompt", text="a bear", clip=loader.output("MODEL"))
    with pytest.raises(ValueError, match="batch_size: missing or unknown"):
        graph.add("EmptyLatentImage", "size", width=64, height=64)
    with pytest.raises(ValueError, match=r"width=8 is no INT"):
        graph.add("EmptyLatentImage", "size", width=8, height=64, batch_size=1)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("a bear (blue)", r"a bear \(blue\)"), (r"a bear \(blue\)", r"a bear \(blue\)"), ("a bear, blue", "a bear, blue")],
)
def test_brackets_are_not_weights(ours: str, theirs: str) -> None:
    assert literal(ours) == theirs
