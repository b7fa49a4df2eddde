"""`lorasweep comfyui`: a workflow that draws a version's samples in ComfyUI, and its weights in ComfyUI's folder."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorasweep.commands.output import write_text
from lorasweep.errors import Problem, UserError
from lorasweep.runs import ledger, paths
from lorasweep.schema import slug

if TYPE_CHECKING:
    from lorasweep.export.comfyui.files import Copy
    from lorasweep.export.comfyui.graph import Graph
    from lorasweep.export.comfyui.plan import Wishes
    from lorasweep.export.comfyui.workflow import Helper, Reference

REFINER = "sd_xl_refiner_1.0.safetensors"
REFERENCE_WEIGHT = 0.6
"""How closely a picture is followed; the character guide of the seeds says 0.5 to 0.7."""


def add(verbs: Any) -> None:
    """Declare the verb.

    Args:
        verbs: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = verbs.add_parser(
        "comfyui",
        help="write a workflow for ComfyUI that draws a version's prompts, and copy its weights there",
        epilog="example: lorasweep comfyui v6 --comfyui ~/ComfyUI --strengths 0 0.6 0.8 1",
    )
    parser.add_argument("version", metavar="vN", help="the version, such as v6; v6@12 is its epoch 12")
    parser.add_argument("--name", help="of which LoRA, where several have such a version")
    parser.add_argument("--output-root", default="outputs", help="folder of all versions (default: %(default)s)")
    parser.add_argument("--comfyui", type=Path, metavar="FOLDER", help="ComfyUI's folder, which gets the files")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where to write (default: comfyui/ in the version's)"
    )
    draw = parser.add_argument_group("what is drawn (default: as the version's own samples)")
    draw.add_argument(
        "--strengths", type=float, nargs="+", metavar="S", help="of the LoRA; 0 draws the base (default: 1)"
    )
    draw.add_argument("--prompt", action="append", metavar="TEXT", help="in place of the version's; may be repeated")
    draw.add_argument("--seeds", type=int, nargs="+", metavar="N", help="in place of the version's")
    files = parser.add_argument_group("with what")
    files.add_argument("--base", metavar="FILE", help="name of the base in models/checkpoints")
    files.add_argument("--vae", metavar="FILE", help="name of the VAE in models/vae")
    files.add_argument(
        "--helper", action="append", metavar="FILE[:S]", help="a further LoRA and its strength; repeatable"
    )
    files.add_argument(
        "--refiner", nargs="?", const=REFINER, metavar="FILE", help=f"refine with it (default: {REFINER})"
    )
    follow = parser.add_mutually_exclusive_group()
    follow.add_argument(
        "--pulid", metavar="IMAGE[:W]", help=f"follow the face in a picture (weight: {REFERENCE_WEIGHT})"
    )
    follow.add_argument("--ip-adapter", metavar="IMAGE[:W]", help="follow a picture (likewise)")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(verb=run)


def run(args: argparse.Namespace) -> None:
    """Write the workflow, and copy files.

    Raises:
        UserError: there is no such version, or something stands where a file is to go.
    """
    from lorasweep.export.comfyui import files
    from lorasweep.export.comfyui.editor import as_editor
    from lorasweep.export.comfyui.graph import as_api
    from lorasweep.export.comfyui.plan import workflow_plan
    from lorasweep.export.comfyui.workflow import build_graph

    version, weights = _subject(args)
    plan = workflow_plan(version.record, weights, _wishes(args))
    graph = build_graph(plan)
    copies: list[Copy] = []
    if args.comfyui is not None:
        files.check_folder(args.comfyui)
        copies = _copies(args, graph, weights)
        if wrong := [*files.problems(copies), *_absent(args, graph, copies)]:
            raise UserError(wrong, title="Nothing was written")
    out = args.out or version.folder / "comfyui"
    workflow, api = out / f"{plan.stem}.json", out / f"{plan.stem}_api.json"
    with contextlib.redirect_stdout(sys.stderr if args.json else sys.stdout):
        write_text(workflow, json.dumps(as_editor(graph), indent=2) + "\n")
        write_text(api, json.dumps(as_api(graph), indent=2) + "\n")
        for path in files.carry_out(copies):
            print(f"copied {path}")
    notes = list(_notes(args, version, graph))
    if args.json:
        made = {"workflow": str(workflow), "api": str(api), "files": [str(copy.target) for copy in copies]}
        pictures = len(plan.strengths) * len(plan.prompts)
        print(json.dumps(made | {"pictures": pictures, "packs": graph.packs, "notes": notes}, indent=2))
    else:
        print("\n".join(notes))


def _subject(args: argparse.Namespace) -> tuple[ledger.RecordedVersion, Path]:
    """Return the version that is meant, and which of its weights files.

    Raises:
        UserError: there is none, or several are meant.
    """
    number, _, epoch = args.version.partition("@")
    found = [
        version
        for version in ledger.versions(args.output_root, args.name)
        if f"v{version.number}" == number and (args.name is None or slug(version.name) == slug(args.name))
    ]
    title = "There is no such version"
    if len(found) > 1:
        names = " or ".join(f"--name {slug(version.name)}" for version in found)
        raise UserError(f"{number}: several LoRAs have one: say {names}", title="Which version is meant?")
    if not found:
        known = ", ".join(f"{slug(v.name)} v{v.number}" for v in ledger.versions(args.output_root))
        raise UserError(
            f"{args.version}: {args.output_root} has {known or 'no version: train one first, or give --output-root'}",
            title=title,
        )
    record = found[0].record
    files = {str(entry.epoch): record.folder / str(entry.file) for entry in record.saved}
    weights = files.get(epoch) if epoch else paths.selected(record.folder, record.stem)
    if weights is None or not weights.exists():
        kept = ", ".join(f"{number}@{one}" for one, path in files.items() if path.exists())
        raise UserError(f"{args.version}: its weights file is not there; there is {kept or 'none'}", title=title)
    return found[0], weights


def _wishes(args: argparse.Namespace) -> Wishes:
    from lorasweep.export.comfyui.plan import Wishes

    return Wishes(
        strengths=args.strengths or (),
        prompts=args.prompt or (),
        seeds=args.seeds or (),
        base=args.base,
        vae=args.vae,
        helpers=[_helper(text) for text in args.helper or ()],
        reference=_reference(args),
        refiner=args.refiner,
    )


def _helper(text: str) -> Helper:
    from lorasweep.export.comfyui.workflow import Helper

    file, strength = _with_number(text, 1.0)
    return Helper(Path(file).name if Path(file).is_file() else file, strength)


def _reference(args: argparse.Namespace) -> Reference | None:
    from lorasweep.export.comfyui.workflow import Reference

    if args.pulid is None and args.ip_adapter is None:
        return None
    image, weight = _with_number(args.pulid or args.ip_adapter, REFERENCE_WEIGHT)
    return Reference("pulid" if args.pulid else "ip-adapter", Path(image).name, weight)


def _with_number(text: str, otherwise: float) -> tuple[str, float]:
    """Return the file and the number of `FILE:0.6`."""
    file, _, number = text.rpartition(":")
    try:
        return (file, float(number)) if file else (text, otherwise)
    except ValueError:
        return text, otherwise


def _copies(args: argparse.Namespace, graph: Graph, weights: Path) -> list[Copy]:
    """Return the files that ComfyUI's folder is to get: the version, and what was given by path."""
    from lorasweep.export.comfyui.files import Copy

    given = [weights, *(Path(_with_number(text, 1.0)[0]) for text in args.helper or ())]
    if reference := args.pulid or args.ip_adapter:
        given.append(Path(_with_number(reference, 1.0)[0]))
    return [
        Copy(path, args.comfyui / folder / path.name)
        for path in given
        if path.is_file()
        for folder in ("models/checkpoints", "models/loras", "input")
        if path.name in graph.files(folder)
    ]


def _absent(args: argparse.Namespace, graph: Graph, copies: Sequence[Copy]) -> Iterator[Problem]:
    """Yield a line for every LoRA and picture that was named, and is neither here nor in ComfyUI's folder."""
    targets = {copy.target for copy in copies}
    for folder in ("models/loras", "input"):
        for name in graph.files(folder):
            if (path := args.comfyui / folder / name) not in targets and not path.exists():
                yield Problem(f"{name}: neither a file here nor in {args.comfyui / folder}: give its path")


def _notes(args: argparse.Namespace, version: ledger.RecordedVersion, graph: Graph) -> Iterator[str]:
    """Yield what is still to do before the workflow can run."""
    from lorasweep.export.comfyui.plan import on_toy

    if on_toy(version.record):
        yield "the toy base is in no ComfyUI, and on another base its LoRA has no effect: this shows what a workflow is"
    if graph.packs:
        yield f"needs the node packs {', '.join(graph.packs)}"
    for folder in ("models/checkpoints", "models/vae", "models/pulid"):
        for name in graph.files(folder):
            if args.comfyui is None or not (args.comfyui / folder / name).exists():
                yield f"needs {folder}/{name}"
    if args.comfyui is None:
        for folder in ("models/loras", "input"):
            for name in graph.files(folder):
                yield f"needs {folder}/{name} (--comfyui FOLDER copies it)"
