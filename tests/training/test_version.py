"""The loss of one batch of a version: every knob of the noise and of the loss reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from lorasweep.bases.sdxl import SDXL
from lorasweep.config import Config, LossConfig
from lorasweep.data.dataset import Dataset
from lorasweep.data.text import TextCache
from lorasweep.training import losses, noise
from lorasweep.training.device import open_accelerator
from lorasweep.training.setup import with_drawn_images
from lorasweep.training.version import Version


@pytest.fixture
def version(short_config: Config, toy_base: SDXL) -> Iterator[Version]:
    short_config.optimizer.text_encoder_lr = 0.0
    config = with_drawn_images(short_config)
    dataset = Dataset.build(config, toy_base, say=lambda line: None)
    texts = TextCache(toy_base, dataset.cache, config.dataset.max_tokens)
    version = Version(config, 6, toy_base, dataset, texts, open_accelerator(config.training))
    yield version
    version.remove()


@pytest.mark.parametrize(
    "settings",
    [
        {"type": "l1"},
        {"debiased": True},
        {"noise_offset": 0.05, "noise_offset_random": True},
        {"noise_offset": 0.05, "adaptive_noise_scale": 0.1},
        {"multires_iterations": 4, "multires_discount": 0.5},
        {"input_perturbation": 0.1},
        {"min_timestep": 900},
        {"max_timestep": 100},
    ],
    ids=str,
)
def test_a_knob_changes_the_loss_as_its_formula_says(version: Version, settings: dict[str, object]) -> None:
    batch = version.dataset.batch(version.plan.batches(0)[0])
    version.config.loss = LossConfig()
    plain = version.losses(batch, 0).detach()
    loss = version.config.loss = LossConfig(**settings)
    found = version.losses(batch, 0).detach()
    assert not torch.allclose(found, plain, rtol=1e-3)
    alphas = version.base.alphas_cumprod
    made = noise.noised(batch.rows, batch.latents, loss, version.config.seed, alphas)
    prediction = version.predict(made.noisy, made.timesteps, version.embed(batch.captions), batch.size_ids)
    expected = losses.per_sample(prediction, made.noise, loss, made.timesteps, alphas, "epsilon", batch.weights)
    torch.testing.assert_close(found, expected)


def test_the_pixels_are_weighed_by_the_masks(version: Version) -> None:
    batch = version.dataset.batch(version.plan.batches(0)[0])
    plain = version.losses(batch, 0).detach()
    full = torch.ones_like(batch.latents[:, :1])
    assert torch.equal(version.losses(replace(batch, masks=full), 0), plain)
    left = full.clone()
    left[..., left.shape[-1] // 2 :] = 0
    halves = [version.losses(replace(batch, masks=mask), 0).detach() for mask in (left, 1 - left)]
    assert not torch.allclose(halves[0], halves[1], rtol=1e-3)
    torch.testing.assert_close((halves[0] + halves[1]) / 2, plain)
