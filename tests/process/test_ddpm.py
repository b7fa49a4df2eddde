import pytest
import torch

from lorasweep.process.ddpm import DDPM

ALPHAS = torch.tensor([0.8, 0.5, 0.36, 0.2])
EPSILON, VELOCITY = DDPM(ALPHAS, "epsilon"), DDPM(ALPHAS, "v_prediction")


def test_snr_is_signal_over_noise():
    # 0.8/0.2, 0.5/0.5, 0.36/0.64, 0.2/0.8
    torch.testing.assert_close(EPSILON.snr(torch.arange(4)), torch.tensor([4.0, 1.0, 0.5625, 0.25]))


def test_add_noise_mixes_each_row_by_its_own_timestep():
    latents, noise = torch.full((2, 1, 1, 2), 10.0), torch.full((2, 1, 1, 2), 5.0)
    noisy = EPSILON.add_noise(latents, noise, torch.tensor([2, 0]))
    # t=2: sqrt(0.36) 10 + sqrt(0.64) 5 = 6 + 4; t=0: 0.894427 x 10 + 0.447214 x 5 = 11.18034
    expected = torch.tensor([10.0, 11.18034]).view(2, 1, 1, 1).expand(2, 1, 1, 2)
    torch.testing.assert_close(noisy, expected)


def test_epsilon_target_is_the_noise():
    noise = torch.randn(2, 4, 3, 3)
    assert torch.equal(EPSILON.target(torch.randn(2, 4, 3, 3), noise, torch.tensor([0, 1])), noise)


def test_velocity_target():
    latents, noise = torch.full((1, 1, 1, 1), 10.0), torch.full((1, 1, 1, 1), 5.0)
    # sqrt(0.36) 5 - sqrt(0.64) 10 = 3 - 8
    velocity = VELOCITY.target(latents, noise, torch.tensor([2]))
    torch.testing.assert_close(velocity, torch.full((1, 1, 1, 1), -5.0))


def test_velocity_and_noisy_latents_give_back_the_image():
    # x = sqrt(a) x_t - sqrt(1 - a) v, the identity that samplers of v-prediction models use
    latents, noise, t = torch.randn(1, 4, 2, 2), torch.randn(1, 4, 2, 2), torch.tensor([3])
    noisy, v = EPSILON.add_noise(latents, noise, t), VELOCITY.target(latents, noise, t)
    torch.testing.assert_close(0.2**0.5 * noisy - 0.8**0.5 * v, latents)


def test_unknown_prediction_type_is_named():
    with pytest.raises(ValueError, match="'sample'"):
        DDPM(ALPHAS, "sample")
