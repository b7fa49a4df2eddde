"""The held-out loss: how well a version denoises images that it never trained on, compared with its base.

The loss of a diffusion model varies far more with the timestep and the noise than with training, so both are
fixed: every epoch, every version of a study and the base itself are measured on exactly the same draws, and
the ratio to the base's loss is what is reported. Timesteps are stratified, so that few of them cover the
whole range evenly. The loss is plain MSE whatever the training loss is, and there is no flip, no dropout of
captions and none in the adapter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from lorasweep.data.batch import HeldoutImage
from lorasweep.families.base import Base
from lorasweep.families.conditioning import Conditioning
from lorasweep.process.losses import per_sample
from lorasweep.process.noise import with_noise
from lorasweep.process.process import Process
from lorasweep.randomness import generator, permutation, random_for
from lorasweep.schema import EvaluationConfig, LossConfig

Predict = Callable[[Tensor, Tensor, Conditioning], Tensor]
"""(noisy, timesteps, conditioning) -> prediction, as `Denoiser.predict`."""

Embed = Callable[[list[str]], Conditioning]
"""captions -> a row for each, with the text encoders as they are at this moment."""

BATCH_ROWS = 16  # rows (image x timestep) in one forward at most
MEASURED = LossConfig()
"""The loss that is measured: the plain mean square, whatever is trained."""


@dataclass(frozen=True)
class _Draw:
    """One row of the measurement: an image (by its index in the held-out set) at a timestep of a stratum."""

    image: int
    stratum: int
    timestep: float


class HeldoutLoss:
    """Measures the held-out loss, always on the same draws.

    Args:
        base: gives the process, the device, and the modules that are put in evaluation mode meanwhile.
        heldout: held-out images; more than `config.max_images` are thinned out by a fixed random choice.
        config: number of timesteps per image, of bins, of images.
        seed: with the index of the image and the stratum, decides timestep and noise, and nothing else does.

    Raises:
        ValueError: `heldout` is empty.
    """

    def __init__(
        self,
        base: Base,
        heldout: Sequence[HeldoutImage],
        config: EvaluationConfig,
        seed: int,
    ) -> None:
        if not heldout:
            raise ValueError("the held-out loss needs at least one held-out image")
        self._base, self._images, self._bins = base, heldout, config.bins
        self._seed = seed
        chosen = sorted(permutation(len(heldout), seed, "held-out images")[: config.max_images])
        self._draws = [
            _Draw(image, stratum, timestep)
            for image in chosen
            for stratum, timestep in enumerate(stratified_timesteps(seed, image, config.timesteps, base.process))
        ]
        self._base_losses: dict[str, float] | None = None

    def measure_base(self, predict: Predict, embed: Embed) -> dict[str, float]:
        """Measure the base, remember it for the ratios, and return what `measure` returns: every ratio is 1.

        Call it once, with the adapter disabled in both `predict` and `embed`, before the first `measure`; the
        result is the same at any time, so a resumed run measures it again.
        """
        self._base_losses = self._losses(predict, embed)
        return self._with_ratios(self._base_losses)

    def measure(self, predict: Predict, embed: Embed) -> dict[str, float]:
        """Return the losses of the model as it is, and their ratios to the base's on the same draws.

        Keys: `val/loss`, `val/loss_ratio`, and for each timestep bin that has draws, counted from the least
        noise, `val/loss_bin_<i>` and `val/loss_ratio_bin_<i>`. A ratio is mean loss / mean loss of the base:
        1 is the base, lower is better.

        Raises:
            RuntimeError: the base has not been measured.
        """
        if self._base_losses is None:
            raise RuntimeError("measure_base comes before measure")
        return self._with_ratios(self._losses(predict, embed))

    def _with_ratios(self, losses: dict[str, float]) -> dict[str, float]:
        assert self._base_losses is not None
        return losses | {
            key.replace("val/loss", "val/loss_ratio"): value / self._base_losses[key] for key, value in losses.items()
        }

    def _losses(self, predict: Predict, embed: Embed) -> dict[str, float]:
        total: list[float] = []
        bins: dict[int, list[float]] = defaultdict(list)
        with torch.no_grad(), _evaluation_mode(self._base):
            text, rows = self._embed(embed)
            for draws in self._batches():
                mine = text.take([rows[self._images[draw.image].caption] for draw in draws])
                for draw, loss in zip(draws, self._batch_losses(draws, predict, mine), strict=True):
                    total.append(loss)
                    bins[int(draw.timestep * self._bins // self._base.process.timesteps)].append(loss)
        losses = {"val/loss": _mean(total)}
        return losses | {f"val/loss_bin_{index}": _mean(bins[index]) for index in sorted(bins)}

    def _embed(self, embed: Embed) -> tuple[Conditioning, dict[str, int]]:
        """Encode every distinct caption once, whatever the number of its timesteps; return each one's row too."""
        captions = list(dict.fromkeys(self._images[draw.image].caption for draw in self._draws))
        return embed(captions), {caption: row for row, caption in enumerate(captions)}

    def _batches(self) -> Iterator[list[_Draw]]:
        """Yield the draws in batches of latents of one shape."""
        by_shape: dict[torch.Size, list[_Draw]] = defaultdict(list)
        for draw in self._draws:
            by_shape[self._images[draw.image].latents.shape].append(draw)
        for draws in by_shape.values():
            for start in range(0, len(draws), BATCH_ROWS):
                yield draws[start : start + BATCH_ROWS]

    def _batch_losses(self, draws: list[_Draw], predict: Predict, text: Conditioning) -> list[float]:
        images, device = [self._images[draw.image] for draw in draws], self._base.device
        latents = torch.stack([image.latents for image in images]).to(device)
        timesteps = torch.tensor([draw.timestep for draw in draws], device=device)
        noise = torch.stack([self._noise(draw, latents.shape[1:]) for draw in draws]).to(device)
        conditioning = self._base.with_facts(text.to(device), [image.facts for image in images])
        process = self._base.process
        noised = with_noise(process, latents, noise, timesteps)
        prediction = predict(noised.noisy, noised.timesteps, conditioning)
        equal = torch.ones(len(draws), device=device)
        return per_sample(prediction, noised.target, MEASURED, noised.timesteps, process, equal).tolist()

    def _noise(self, draw: _Draw, shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=generator(self._seed, "held-out noise", draw.image, draw.stratum))


def stratified_timesteps(seed: int, image: int, strata: int, process: Process) -> list[float]:
    """Return one timestep in each of `strata` equal parts of the process, rising, fixed for (seed, image).

    Args:
        seed: of the measurement.
        image: index of the image in the held-out set.
        strata: at most the process's number of timesteps.
        process: what the timesteps are of.
    """
    edges = [stratum * process.timesteps // strata for stratum in range(strata + 1)]
    return [
        process.draw_evenly(random_for(seed, "held-out timestep", image, stratum), *edges[stratum : stratum + 2])
        for stratum in range(strata)
    ]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


@contextmanager
def _evaluation_mode(base: Base) -> Iterator[None]:
    """Switch dropout off in every module of the base and its adapters, and back on where it was on."""
    training = [module for root in base.modules.values() for module in root.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
