"""What records keep of trigger analyses (`lorasweep trigger`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lorasweep.runs.stored import Stored


@dataclass
class Interval(Stored):
    """A figure with its 95% interval over prompts and seeds.

    Attributes:
        value: the figure.
        low: lower end; None where there is too little to have one.
        high: upper end; None where the lower one is.
    """

    value: float = 0.0
    low: float | None = None
    high: float | None = None

    @property
    def above_zero(self) -> bool:
        """Whether all of the interval is above 0."""
        return self.low is not None and self.low > 0

    def __str__(self) -> str:
        """Return `+0.0412 [+0.0301, +0.0523]`."""
        interval = "" if self.low is None or self.high is None else f" [{self.low:+.4f}, {self.high:+.4f}]"
        return f"{self.value:+.4f}{interval}"


@dataclass
class TriggerFigure(Stored):
    """How much of the theme a trigger brings from one position in the prompts, at one strength.

    Attributes:
        position: of the trigger: a key of `evaluation.trigger.positions.TITLES`.
        strength: that the weights were put on the base with.
        fidelity: mean similarity of the pictures to the theme's images.
        base: the same of the bare base, at the same prompts and seeds.
        delta: fidelity less the base's.
        behind: by how much this delta is below that of the trigger at the start at strength 1.
        share: this delta over that one: 0 is the base, 1 the trigger at the start; None where that one may be none.
        cells: names of the pictures, in the order of the settings' requests; they lie in `<output_root>/.cells`.
        base_cells: of the base's.
    """

    position: str
    strength: float = 1.0
    fidelity: float = 0.0
    base: float = 0.0
    delta: Interval = field(default_factory=Interval)
    behind: Interval = field(default_factory=Interval)
    share: Interval | None = None
    cells: list[str] = field(default_factory=list)
    base_cells: list[str] = field(default_factory=list)


@dataclass
class TriggerAnalysis(Stored):
    """What a trigger does to the pictures of one weights file.

    Attributes:
        epoch: that the file is of; None of a file from elsewhere.
        weights: SHA-256 of its tensors.
        settings: all that decided the figures: trigger, prompts, seeds, sampler, base, feature model, data.
        prompts: how many prompts were drawn at each position.
        seeds: how many seeds of each, at least.
        captions: how many training images there are.
        called: in how many of their captions the trigger stands.
        figures: by position and strength.
        finished: when, ISO 8601.
    """

    epoch: int | None = None
    weights: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    prompts: int = 0
    seeds: int = 0
    captions: int = 0
    called: int = 0
    figures: list[TriggerFigure] = field(default_factory=list)
    finished: str = ""

    def at(self, position: str, strength: float = 1.0) -> TriggerFigure | None:
        """Return the figure of a position; None where it was not drawn.

        Args:
            position: as `TriggerFigure` has it.
            strength: that the weights were put on with.
        """
        return next((each for each in self.figures if (each.position, each.strength) == (position, strength)), None)

    @property
    def strengths(self) -> list[float]:
        """The strengths that were drawn, ascending."""
        return sorted({each.strength for each in self.figures})
