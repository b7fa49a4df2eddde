"""Rectified flow: expected values are worked out by hand, with the arithmetic beside them."""

import random
from statistics import NormalDist, mean

import pytest
import torch

from lorasweep.process import losses
from lorasweep.process.ddpm import DDPM
from lorasweep.process.flow import RectifiedFlow
from lorasweep.process.refusals import lacking
from lorasweep.schema import Config, LossConfig

FLOW = RectifiedFlow()


def test_noise_comes_on_a_straight_line():
    latents, noise = torch.full((2, 1, 1, 2), 10.0), torch.full((2, 1, 1, 2), 5.0)
    noisy = FLOW.add_noise(latents, noise, torch.tensor([200.0, 1000.0]))
    # s = 0.2: 0.8 x 10 + 0.2 x 5 = 9; s = 1: the noise
    torch.testing.assert_close(noisy, torch.tensor([9.0, 5.0]).view(2, 1, 1, 1).expand(2, 1, 1, 2))


def test_the_target_leads_from_the_image_to_the_noise():
    latents, noise, times = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4), torch.tensor([100.0, 700.0])
    direction = FLOW.target(latents, noise, times)
    noisy, shares = FLOW.add_noise(latents, noise, times), torch.tensor([0.1, 0.7]).view(2, 1, 1, 1)
    torch.testing.assert_close(noisy - shares * direction, latents)
    torch.testing.assert_close(noisy + (1 - shares) * direction, noise)


def test_huber_by_noise_follows_the_line():
    # s = 0.25, 0.5: noise over signal 1/3, 1; 0.8 / (4/3)^2 + 0.2 = 0.65, 0.8 / 4 + 0.2 = 0.4
    config = LossConfig(type="huber", huber_schedule="snr", huber_c=0.2)
    found = losses.huber_threshold(config, torch.tensor([250.0, 500.0]), FLOW)
    torch.testing.assert_close(found, torch.tensor([0.65, 0.4]))


@pytest.mark.parametrize("density", ["uniform", "logit_normal"])
@pytest.mark.parametrize(("start", "stop"), [(0, 1000), (300, 320), (0, 1), (999, 1000)])
def test_timesteps_stay_within_their_range(density, start, stop):
    draws = [RectifiedFlow(density).draw(random.Random(seed), start, stop) for seed in range(300)]
    assert all(start <= draw <= stop for draw in draws)
    assert len(set(draws)) > 290


def test_the_logit_normal_density_favours_the_middle():
    shares = [RectifiedFlow("logit_normal").draw(random.Random(seed), 0, 1000) / 1000 for seed in range(4000)]
    # P(s < 0.25) = Phi(ln(1/3)) = 0.136; its standard error is 0.0054, the mean's 0.0033
    assert NormalDist().cdf(-1.0986) == pytest.approx(0.136, abs=0.001)
    assert sum(share < 0.25 for share in shares) / 4000 == pytest.approx(0.136, abs=0.02)
    assert mean(shares) == pytest.approx(0.5, abs=0.012)


def test_weights_by_the_signal_to_noise_ratio_are_refused_with_the_reason():
    config = Config(name="x")
    assert not list(lacking(RectifiedFlow, config))
    config.loss.min_snr_gamma, config.loss.debiased = 5.0, True
    found = {problem.keys[0]: str(problem) for problem in lacking(RectifiedFlow, config)}
    assert found.keys() == {"loss.min_snr_gamma", "loss.debiased"}
    assert "a rectified flow predicts the direction" in found["loss.debiased"]
    assert found["loss.min_snr_gamma"].endswith("set loss.min_snr_gamma=null")
    assert not list(lacking(DDPM, config))
    for settings in ({"min_snr_gamma": 5.0}, {"debiased": True}):
        with pytest.raises(ValueError, match="signal-to-noise"):
            FLOW.weights(LossConfig(**settings), torch.tensor([1.0]))


def test_an_unknown_density_is_named():
    with pytest.raises(ValueError, match="'cubic'"):
        RectifiedFlow("cubic")
