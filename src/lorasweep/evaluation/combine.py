"""`lorasweep combine` without its command line: adapters on one base, each theme alone and together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.text import Text

from lorasweep.errors import UserError
from lorasweep.evaluation.asking import EvaluationOptions
from lorasweep.evaluation.bench import Bench, Measurement
from lorasweep.evaluation.candidates import Candidate
from lorasweep.evaluation.evaluate import OpenBenches, progress_of_drawing
from lorasweep.evaluation.interference import Interference, interference
from lorasweep.evaluation.table import align
from lorasweep.evaluation.weights import AdapterFile, WeightsFile, modules_of
from lorasweep.export.merging import merged_tensors
from lorasweep.export.weights import write_weights
from lorasweep.families.base import Base
from lorasweep.pictures import grid
from lorasweep.schema import Config
from lorasweep.schema.measures import DECIMALS, METRICS
from lorasweep.text.values import written

FIDELITY = "image/fidelity"
TITLE = "These cannot be combined"
MOST = 32
"""Combinations of strengths that are tried at most."""


@dataclass(frozen=True)
class Combined:
    """One adapter of a combination.

    Attributes:
        candidate: it.
        weights: of it, read for the base.
        strength: that it is put on with, alone and together.
        config: of its version; None of a helper, a file of no version, which has no theme to be measured.
        bench: measures its theme; None of a helper.
        alone: its theme, by itself; None of a helper.
    """

    candidate: Candidate
    weights: AdapterFile
    strength: float
    config: Config | None = None
    bench: Bench | None = None
    alone: Measurement | None = None

    @property
    def fidelity(self) -> float | None:
        """How alike samples of its theme and held-out images are with nothing else on the base."""
        return self.alone.metrics.get(FIDELITY) if self.alone is not None else None


@dataclass(frozen=True)
class Together:
    """What is measured of all adapters at once.

    Attributes:
        strengths: of each.
        themes: what was measured of each one's theme; None of helpers.
    """

    strengths: tuple[float, ...]
    themes: tuple[Measurement | None, ...]

    def kept(self, parts: Sequence[Combined]) -> float:
        """Return how much of its fidelity the theme keeps that keeps least, as a share of what it gains alone.

        Args:
            parts: the adapters, whose themes were measured alone.

        Returns:
            1: every theme is as good as alone. NaN where no theme can be measured.
        """
        shares = []
        for part, found in zip(parts, self.themes, strict=True):
            if part.fidelity is None or part.bench is None or found is None:
                continue
            base, value = part.bench.base.metrics.get(FIDELITY, 0.0), found.metrics.get(FIDELITY, math.nan)
            gain = part.fidelity - base
            shares.append((value - base) / gain if gain > 0 else value - part.fidelity)
        return min(shares, default=math.nan)


def open_parts(candidates: Sequence[Candidate], options: EvaluationOptions) -> tuple[list[Combined], Base]:
    """Read the adapters and measure each theme alone.

    Args:
        candidates: at least two, of one base.
        options: how they are measured; one strength.

    Returns:
        The adapters, and the base.

    Raises:
        UserError: fewer than two, other bases, or a whole checkpoint among them.
    """
    configs = [options.config(candidate, candidates) for candidate in candidates]
    bases = {str(config.base_model) for config in configs}
    if len(candidates) < 2 or len(bases) > 1:
        problem = "give two or more" if len(candidates) < 2 else "they are for several bases; give those of one"
        raise UserError(f"{', '.join(candidate.text for candidate in candidates)}: {problem}", title=TITLE)
    opened, parts = OpenBenches(), []
    base = opened.drawer(configs[0]).base
    for candidate, config in zip(candidates, configs, strict=True):
        weights = opened.weights(candidate, config)
        if not isinstance(weights, AdapterFile):
            raise UserError(f"{candidate.text} is a whole checkpoint, which nothing can be added to", title=TITLE)
        strength = options.strengths_of(candidate)[0]
        if candidate.record is None:
            parts.append(Combined(candidate, weights, strength))
            continue
        bench = opened.bench(config, options.requests(config))
        pair = [(weights, strength)]
        with progress_of_drawing(f"{candidate.label} alone", bench.missing(pair)) as advance:
            alone = bench.measure(pair, advance)
        parts.append(Combined(candidate, weights, strength, config, bench, alone))
    return parts, base


def measure_together(parts: Sequence[Combined], strengths: Sequence[float]) -> Together:
    """Measure every theme with all adapters on the base.

    Args:
        parts: the adapters.
        strengths: of each.
    """
    pairs: list[tuple[WeightsFile, float]] = [(p.weights, s) for p, s in zip(parts, strengths, strict=True)]
    themes: list[Measurement | None] = []
    for part in parts:
        if part.bench is None:
            themes.append(None)
            continue
        what = f"{part.candidate.label} with {written(list(strengths))}"
        with progress_of_drawing(what, part.bench.missing(pairs)) as advance:
            themes.append(part.bench.measure(pairs, advance))
    return Together(tuple(strengths), tuple(themes))


def best_strengths(parts: Sequence[Combined], ladder: Sequence[float]) -> list[Together]:
    """Measure every combination of strengths, and return them, the best first.

    Best is where the theme that keeps least of its fidelity keeps most.

    Args:
        parts: the adapters; helpers stay at their own strength.
        ladder: strengths that every theme is tried at.

    Raises:
        UserError: too many combinations.
    """
    choices = [ladder if part.bench is not None else [part.strength] for part in parts]
    if (count := math.prod(map(len, choices))) > MOST:
        raise UserError(
            f"--search {','.join(f'{each:g}' for each in ladder)} makes {count} combinations of {len(parts)} files; "
            f"give fewer strengths: at most {MOST} are tried",
            title=TITLE,
        )
    found = [measure_together(parts, strengths) for strengths in itertools.product(*choices)]
    return sorted(found, key=lambda each: -(-math.inf if math.isnan(kept := each.kept(parts)) else kept))


def overlaps(parts: Sequence[Combined], base: Base) -> dict[tuple[str, str], Interference]:
    """Return how each two adapters overlap, by their labels.

    Args:
        parts: the adapters.
        base: that they were read for.
    """
    modules = modules_of(base)
    return {
        (a.candidate.label, b.candidate.label): interference(a.weights, b.weights, modules)
        for a, b in itertools.combinations(parts, 2)
    }


def merge(parts: Sequence[Combined], strengths: Sequence[float], base: Base, path: Path, rank: int | None) -> float:
    """Write all adapters as one file in kohya's format; return the share of their change that the rank lost.

    Args:
        parts: the adapters.
        strengths: of each, which become part of the file: it is used at strength 1.
        base: that they were read for.
        path: of the file; nothing may be there.
        rank: of each layer; None keeps everything.

    Raises:
        UserError: something is there, or a value does not fit half precision.
        OSError: it cannot be written.
    """
    if path.exists():
        raise UserError(f"--merge {path}: there is a file of that name; give another one", title="Nothing was written")
    weights = {layer: module.weight.detach() for layer, module in modules_of(base).items()}
    adapters = [(part.weights.layers, strength) for part, strength in zip(parts, strengths, strict=True)]
    with torch.no_grad():
        tensors, lost = merged_tensors(adapters, weights, base.naming, rank)  # type: ignore[arg-type]
    ranks = {tensor.shape[0] for name, tensor in tensors.items() if name.endswith(".lora_down.weight")}
    of = ", ".join(f"{p.candidate.label} at {s:g}" for p, s in zip(parts, strengths, strict=True))
    identity = base.identity
    about = {
        "ss_output_name": path.stem,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(max(ranks)),
        "ss_network_alpha": str(max(ranks)),
        "ss_base_model_version": identity.base_version,
        "modelspec.title": path.stem,
        "modelspec.architecture": f"{identity.architecture}/lora",
        "modelspec.description": f"merged by lorasweep: {of}",
    }
    write_weights(path, tensors, about)
    return lost


def fidelity_table(parts: Sequence[Combined], tried: Sequence[Together]) -> list[Text]:
    """Return a table of each theme's fidelity: the base's, alone, and together at every strength that was tried.

    Args:
        parts: the adapters.
        tried: what was measured of them together.
    """
    themes = [part for part in parts if part.fidelity is not None]
    if not themes:
        return []
    heads = ["", *(part.candidate.label for part in themes), "the least kept"]
    label = METRICS[FIDELITY].label
    rows = [[Text(head, "dim") for head in heads]]
    bases = [part.bench.base.metrics.get(FIDELITY) for part in themes if part.bench is not None]
    rows.append([Text(f"{label} of the base"), *map(_number, bases), Text("")])
    rows.append([Text(f"{label} alone"), *(_number(part.fidelity) for part in themes), Text("100%")])
    for each in tried:
        values = [found.metrics.get(FIDELITY) for found in each.themes if found is not None]
        kept = each.kept(parts)
        rows.append(
            [
                Text("together at " + ", ".join(f"{strength:g}" for strength in each.strengths)),
                *map(_number, values),
                Text("" if math.isnan(kept) else f"{kept:.0%}"),
            ]
        )
    return align(rows)


def write_sheet(parts: Sequence[Combined], together: Together, path: Path) -> None:
    """Draw a sheet: the prompts of every theme, by the base, the theme alone, and all together.

    Args:
        parts: the adapters.
        together: what was measured of them.
        path: of the PNG.

    Raises:
        OSError: it cannot be written.
    """
    themes = [(p, t) for p, t in zip(parts, together.themes, strict=True) if p.alone is not None and t is not None]
    rows, columns = [], []
    bare, alone, all_of = [], [], []
    for part, found in themes:
        assert part.bench is not None and part.alone is not None
        rows += [f"{cell.key.prompt} (seed {cell.key.seed})" for cell in part.alone.cells]
        bare += [cell.path for cell in part.bench.base.cells]
        alone += [cell.path for cell in part.alone.cells]
        all_of += [cell.path for cell in found.cells]
    strengths = ", ".join(f"{strength:g}" for strength in together.strengths)
    columns = [
        grid.Column("base", bare, apart=True),
        grid.Column("the theme alone", alone),
        grid.Column("together", all_of, notes=[strengths]),
    ]
    grid.write_grid(columns, rows, path, title=" + ".join(part.candidate.label for part in parts))


def with_strength(options: EvaluationOptions) -> EvaluationOptions:
    """Return options with one strength, which every candidate that has none of its own gets."""
    return replace(options, strengths=options.strengths[:1])


def _number(value: float | None) -> Text:
    return Text("" if value is None else f"{value:.{DECIMALS}f}")


def by_layer(found: Mapping[tuple[str, str], Interference], count: int) -> list[Text]:
    """Return a table of the layers in which adapters change most together.

    Args:
        found: as `overlaps` gives it.
        count: layers of each pair.
    """
    rows = [[Text(head, "dim") for head in ("", "cosine", "overlap", "by chance")]]
    for (first, second), each in found.items():
        name = Text(f"{first} and {second}", "bold")
        rows.append([name, *(Text(f"{value:.3f}") for value in (each.cosine, each.overlap, each.expected))])
        for layer in each.layers[:count]:
            values = (layer.cosine, layer.overlap, layer.expected)
            rows.append([Text(f"  {layer.layer}", "dim"), *(Text(f"{value:.3f}", "dim") for value in values)])
    return align(rows)
