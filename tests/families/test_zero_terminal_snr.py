"""A noise schedule that ends in pure noise: the same one for training, evaluation and sampling."""

from __future__ import annotations

import pytest
import torch
from diffusers import EulerDiscreteScheduler

from lorasweep.data.batch import HeldoutImage
from lorasweep.families.base import ImageFacts
from lorasweep.families.load import load_base
from lorasweep.families.sdxl.model import SDXL
from lorasweep.metrics.heldout import HeldoutLoss
from lorasweep.schema import BaseModelConfig, EvaluationConfig


@pytest.fixture(scope="module")
def rescaled() -> SDXL:
    config = BaseModelConfig(resolution=64, prediction_type="v_prediction", zero_terminal_snr=True)
    return load_base(config, "cpu", torch.float32)


def test_the_schedule_is_shifted_and_stretched_to_end_in_noise(rescaled: SDXL, toy_base: SDXL) -> None:
    # Lin et al. 2023, algorithm 1: sqrt(a_t) -> (sqrt(a_t) - sqrt(a_T)) sqrt(a_0) / (sqrt(a_0) - sqrt(a_T))
    roots = toy_base.scheduler.alphas_cumprod.sqrt()
    expected = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2
    torch.testing.assert_close(rescaled.scheduler.alphas_cumprod[:-1], expected[:-1], rtol=1e-3, atol=1e-6)
    assert toy_base.scheduler.alphas_cumprod[-1] > 0.004 and 0 < rescaled.scheduler.alphas_cumprod[-1] < 1e-7


def test_the_sampler_begins_at_the_last_timestep(rescaled: SDXL, toy_base: SDXL) -> None:
    first, started = {}, {}
    for name, base in {"plain": toy_base, "rescaled": rescaled}.items():
        scheduler = EulerDiscreteScheduler.from_config(base.scheduler.config)  # as the sampler makes its own
        scheduler.set_timesteps(4)
        first[name], started[name] = scheduler.timesteps[0].item(), scheduler.sigmas[0].item()
    assert first == {"plain": 751, "rescaled": 999}
    assert started["rescaled"] == pytest.approx((1 / 2**-24 - 1) ** 0.5)


def test_it_samples(rescaled: SDXL) -> None:
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    images = rescaled.sample(["humanoid"], negative_prompt="", latents=latents, steps=3, guidance=2.0, max_tokens=75)
    assert len(set(images[0].getdata())) > 100, "the toy predicts no velocity, but numbers they are"


def test_the_held_out_loss_is_of_this_schedule(rescaled: SDXL, toy_base: SDXL) -> None:
    """The perfect prediction on one schedule is none on the other, at the same draws."""
    image = HeldoutImage(torch.ones(4, 4, 4), "humanoid", ImageFacts((16, 16), (0, 0), (16, 16)))
    seen: dict[str, list[torch.Tensor]] = {"plain": [], "rescaled": []}
    for name, base in {"plain": toy_base, "rescaled": rescaled}.items():
        measure = HeldoutLoss(base, [image], EvaluationConfig(timesteps=4, bins=1), seed=0)

        def predict(noisy: torch.Tensor, *_: object, name: str = name) -> torch.Tensor:
            seen[name].append(noisy)
            return noisy

        measure.measure_base(predict, lambda captions: base.encode_text(captions, 75))  # noqa: B023
    assert not torch.allclose(seen["plain"][0], seen["rescaled"][0], atol=1e-3)
