"""All that decides what a generated image looks like: what is asked for, of which base, with which weights on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from lorasweep.families.base import Base
from lorasweep.pictures.prompts import Prompt, prompts_of
from lorasweep.schema import Config


@dataclass(frozen=True)
class Request:
    """One image that is asked for, whatever model draws it.

    Attributes:
        prompt: the text, its seed, and whether it calls the trigger.
        negative_prompt: what guidance leads away from.
        width: in pixels.
        height: in pixels.
        steps: of the sampler.
        guidance: scale of classifier-free guidance; 1 switches it off.
    """

    prompt: Prompt
    negative_prompt: str
    width: int
    height: int
    steps: int
    guidance: float

    @property
    def batchable(self) -> tuple[Any, ...]:
        """What images must have in common to be drawn side by side."""
        return self.negative_prompt, self.width, self.height, self.steps, self.guidance


def requests_of(config: Config, prompts: Sequence[Prompt] | None = None) -> list[Request]:
    """Return what a version samples: its prompts x seeds with its settings, as square as its base.

    Args:
        config: of the version.
        prompts: others than the config's own.
    """
    sampling, side = config.sampling, config.dataset.resolution
    if prompts is None:
        prompts = prompts_of(sampling.prompts, sampling.seeds, config.dataset.trigger)
    return [
        Request(prompt, sampling.negative_prompt, side, side, sampling.steps, sampling.guidance) for prompt in prompts
    ]


@dataclass(frozen=True)
class Applied:
    """A weights file on a base.

    Attributes:
        sha256: of its tensors (`weights.weights_digest`).
        strength: what its change is multiplied by; loaders' `strength_model` and `strength_clip`.
    """

    sha256: str
    strength: float = 1.0


@dataclass(frozen=True)
class CellKey:
    """All that decides one image; equal ones are drawn once.

    Attributes:
        base: SHA-256 of the base's weights.
        sampler: what else of the base decides how it samples (`Sampler.sample_key`).
        precision: it computes in: no, fp16 or bf16.
        max_tokens: that are read of a prompt.
        applied: the weights files on the base, in order; none for the bare base.
        prompt: the text.
        seed: of the noise that it begins with.
        negative_prompt: as `Request` has it.
        width: of the image, in pixels.
        height: of the image, in pixels.
        steps: of the sampler.
        guidance: scale of classifier-free guidance.
    """

    base: str
    sampler: tuple[str, ...]
    precision: str
    max_tokens: int
    applied: tuple[Applied, ...]
    prompt: str
    seed: int
    negative_prompt: str
    width: int
    height: int
    steps: int
    guidance: float

    @property
    def digest(self) -> str:
        """What names it on the disk: 32 hex digits."""
        text = json.dumps(self.plain(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def bare(self) -> CellKey:
        """The same of the base alone."""
        return replace(self, applied=())

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {"guidance": float(self.guidance), "sampler": list(self.sampler)}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Return what `plain` wrote.

        Raises:
            TypeError: it is something else.
        """
        applied = tuple(Applied(**each) for each in values["applied"])
        return cls(**{**values, "applied": applied, "sampler": tuple(values["sampler"])})


@dataclass(frozen=True)
class BaseKey:
    """The part of a key that is the same for all images of a base, in a precision.

    Attributes:
        base: as `CellKey` has it.
        sampler: what else of the base decides how it samples (`Sampler.sample_key`).
        precision: it computes in: no, fp16 or bf16.
        max_tokens: that are read of a prompt.
    """

    base: str
    sampler: tuple[str, ...]
    precision: str
    max_tokens: int

    @classmethod
    def of(cls, base: Base, config: Config, precision: str) -> Self:
        """Return the key of a loaded base.

        Args:
            base: loaded.
            config: that it was loaded for.
            precision: `Accelerator.mixed_precision`.
        """
        packed = config.base_model.quantization
        sampler = [*base.sample_key, *([packed] if packed else [])]
        return cls(base.sha256, tuple(sampler), precision, config.dataset.max_tokens)

    def key(self, request: Request, applied: Sequence[Applied] = ()) -> CellKey:
        """Return all that decides the image of a request; weights of strength 0 are none.

        Args:
            request: what is asked for.
            applied: the weights files on the base.
        """
        return CellKey(
            self.base,
            self.sampler,
            self.precision,
            self.max_tokens,
            tuple(each for each in applied if each.strength),
            request.prompt.text,
            request.prompt.seed,
            request.negative_prompt,
            request.width,
            request.height,
            request.steps,
            request.guidance,
        )
