"""What a version learns under its trigger does not leak into the class, if that is asked for."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from lorasweep.data.batch import Batch
from lorasweep.data.captions import has_trigger, of_class
from lorasweep.data.dataset import Dataset
from lorasweep.data.providers import with_images
from lorasweep.data.text import TextCache
from lorasweep.errors import UserError
from lorasweep.families.base import ImageFacts
from lorasweep.families.conditioning import Conditioning
from lorasweep.families.device import open_accelerator
from lorasweep.families.sdxl.model import SDXL
from lorasweep.process.noise import Noised
from lorasweep.randomness import Row
from lorasweep.schema import Config
from lorasweep.training.loop import train_step
from lorasweep.training.objectives.preservation import preservation_losses
from lorasweep.training.version import Version

FACTS = ImageFacts((64, 64), (0, 0), (64, 64))


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("fuzzy_bear, waving", "person, waving"),
        ("a Fuzzy_Bear and a fuzzy_bear", "a person and a person"),
        ("fuzzy_bears", "fuzzy_bears"),
        ("", ""),
    ],
)
def test_the_class_takes_the_place_of_the_trigger(caption: str, expected: str) -> None:
    assert of_class(caption, "fuzzy_bear", "person") == expected
    assert has_trigger(caption, "fuzzy_bear") == (caption != expected)


@dataclass
class Line:
    """A base that predicts the length of its caption, and an adapter that adds `weight` times the noisy latents."""

    weight: Tensor
    active: bool = True
    read: list[list[str]] = field(default_factory=list)

    def condition(self, captions: list[str], facts: list[ImageFacts], pad_to: list[str]) -> Conditioning:
        assert len(facts) == len(captions)
        self.read.append(captions + pad_to)
        return Conditioning({"length": torch.tensor([float(len(caption)) for caption in captions])})

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        length = conditioning.tensors["length"]
        assert len(noisy) == len(timesteps) == len(length)
        base = length.view(-1, 1, 1, 1).expand_as(noisy)
        return base + self.weight * noisy if self.active else base

    @contextmanager
    def bare(self) -> Iterator[None]:
        self.active = False
        yield
        self.active = True


def test_the_loss_is_the_distance_from_the_bare_base_in_rows_with_the_trigger() -> None:
    weight = torch.tensor(0.5, requires_grad=True)
    line, noisy = Line(weight), torch.arange(24.0).view(3, 2, 2, 2)
    noised = Noised(noisy, torch.zeros_like(noisy), torch.tensor([1, 2, 3]))
    captions = ["bear, red", "humanoid", "a bear", "the bear", "a wolf"]
    whole = Batch([Row(item, 0, 0) for item in range(5)], torch.zeros(5), captions, [FACTS] * 5, torch.ones(5))
    batch = replace(whole, captions=captions[:3], facts=[FACTS] * 3, whole=replace(whole, captions=captions[3:]))
    losses = preservation_losses(line, batch, noised, "bear", "person")  # type: ignore[arg-type]
    # (weight x noisy)^2, whatever the caption's length adds; its derivative is 2 weight noisy^2
    means = (noisy**2).mean(dim=(1, 2, 3))
    torch.testing.assert_close(losses, torch.stack([0.25 * means[0], torch.tensor(0.0), 0.25 * means[2]]))
    losses.sum().backward()
    torch.testing.assert_close(weight.grad, means[0] + means[2])
    assert line.active
    read = ["person, red", "a person", "the person"]
    assert line.read == [read] * 2, "the bare base and the adapter read the same"


@contextmanager
def version_of(config: Config, base: SDXL) -> Iterator[Version]:
    config = with_images(config)
    dataset = Dataset.build(config, base, print_line=lambda line: None)
    texts = TextCache(base, dataset.cache, config.dataset.max_tokens)
    version = Version(config, 6, base, dataset, texts, open_accelerator(config.training))
    try:
        yield version
    finally:
        version.remove()


def drift(version: Version, caption: str) -> float:
    """Mean square of what the adapter changes in the prediction for a caption, over a few fixed noisy latents."""
    batch = version.dataset.batch([Row(item, 7, 7) for item in range(4)])
    noisy = torch.randn(4, *batch.latents.shape[1:], generator=torch.Generator().manual_seed(3))
    timesteps = torch.tensor([200, 400, 600, 800])
    with torch.no_grad():
        adapted = version.model.predict(noisy, timesteps, version.model.condition([caption] * 4, batch.facts))
        with version.adapter.disabled():
            bare = version.model.predict(noisy, timesteps, version.model.condition([caption] * 4, batch.facts))
    return ((adapted - bare) ** 2).mean().item()


@pytest.mark.parametrize("text_encoder_lr", [0.0, 5e-3], ids=["frozen text", "trained text"])
def test_the_class_stays_closer_to_the_base(short_config: Config, toy_base: SDXL, text_encoder_lr: float) -> None:
    short_config.optimizer.lr, short_config.optimizer.text_encoder_lr = 1e-2, text_encoder_lr
    short_config.dataset.flip, short_config.dataset.caption_dropout = False, 0.0
    drifts = {}
    for word in ("", "humanoid"):
        config = copy.deepcopy(short_config)
        config.loss.preservation_class, config.loss.preservation_weight = word, 5.0
        with version_of(config, toy_base) as version:
            for _ in range(8):
                train_step(version)
            drifts[word] = drift(version, "humanoid, waving")
    assert 0 < drifts["humanoid"] < 0.3 * drifts[""], drifts


def losses_of(version: Version, batch: Batch) -> Tensor:
    noisy = version.objective.noise(batch, 0, 0)
    return version.objective.loss(version.objective.predict(noisy), noisy).detach()


def test_it_adds_to_the_loss_and_leaves_the_rest_as_it_was(short_config: Config, toy_base: SDXL) -> None:
    """Off, a step is what it always was; on, losses differ by weight x drift, and only once there is a drift."""
    short_config.network.dropout = 0.2
    short_config.dataset.caption_dropout = 0.0
    values: dict[float, list[Tensor]] = {}
    for weight in (0.0, 1.0, 2.0):
        config = copy.deepcopy(short_config)
        if weight:
            config.loss.preservation_class, config.loss.preservation_weight = "humanoid", weight
        with version_of(config, toy_base) as version:
            batch = version.dataset.batch(version.plan.batches(0)[0])
            with version.training_mode():
                values[weight] = [losses_of(version, batch)]
                with torch.no_grad():
                    for name, parameter in sorted(version.state.parameters.items()):
                        parameter += 0.02 * torch.randn(
                            parameter.shape, generator=torch.Generator().manual_seed(len(name))
                        )
                values[weight].append(losses_of(version, batch))
    assert torch.equal(values[0.0][0], values[1.0][0]), "a new adapter changes nothing that could be kept"
    first, second = values[1.0][1] - values[0.0][1], values[2.0][1] - values[0.0][1]
    assert (first > 1e-6).all()
    torch.testing.assert_close(second, 2 * first, rtol=1e-3, atol=1e-6)


def test_class_captions_are_known_before_training(short_config: Config, toy_base: SDXL) -> None:
    short_config.loss.preservation_class = "humanoid"
    with version_of(short_config, toy_base) as version:
        known = version.dataset.captions()
        assert sum(has_trigger(caption, short_config.dataset.trigger) for caption in known) == 16
        assert sum(caption.startswith("humanoid") for caption in known) == 8, "of the 8 that are trained"


def test_captions_without_the_trigger_are_refused(short_config: Config, toy_base: SDXL) -> None:
    short_config.loss.preservation_class, short_config.dataset.trigger = "humanoid", "zorblax"
    with pytest.raises(UserError, match="preservation_class=humanoid changes nothing: no caption has the trigger"):
        Dataset.build(with_images(short_config), toy_base, print_line=lambda line: None)
