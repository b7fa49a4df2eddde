"""Expected values are worked out by hand from the formulas, with the arithmetic beside them."""

import pytest
import torch

from lorasweep.process import losses
from lorasweep.process.ddpm import DDPM
from lorasweep.schema import LossConfig

ALPHAS = torch.tensor([0.8, 0.5, 0.2])  # sigma = sqrt((1 - a) / a) = 1/2, 1, 2; SNR = 4, 1, 1/4
EPSILON, VELOCITY = DDPM(ALPHAS, "epsilon"), DDPM(ALPHAS, "v_prediction")


def differing_by(d: float, rows: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    target = torch.zeros(rows, 2, 1, 2)
    return target + d, target


def one(value: float, rows: int = 1) -> torch.Tensor:
    return torch.full((rows, 2, 1, 2), value)


def test_l2_is_the_square():
    prediction, target = differing_by(-0.4)
    values = losses.elementwise(prediction, target, LossConfig(type="l2"), torch.tensor([0]), EPSILON)
    torch.testing.assert_close(values, one(0.16))


def test_l1_is_the_absolute_difference():
    prediction, target = differing_by(-0.4)
    values = losses.elementwise(prediction, target, LossConfig(type="l1"), torch.tensor([0]), EPSILON)
    torch.testing.assert_close(values, one(0.4))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("huber", 0.12),  # c = 0.3, d = 0.4: 2 x 0.3 x (sqrt(0.16 + 0.09) - 0.3) = 0.6 x (0.5 - 0.3)
        ("smooth_l1", 0.4),  # 2 x (0.5 - 0.3)
    ],
)
@pytest.mark.parametrize("d", [0.4, -0.4])
def test_constant_threshold(kind, expected, d):
    prediction, target = differing_by(d)
    config = LossConfig(type=kind, huber_schedule="constant", huber_c=0.15, huber_scale=2.0)  # c = 0.15 x 2
    values = losses.elementwise(prediction, target, config, torch.tensor([0]), EPSILON)
    torch.testing.assert_close(values, one(expected))


def test_exponential_threshold_falls_geometrically():
    config = LossConfig(type="huber", huber_schedule="exponential", huber_c=0.09, huber_scale=2.0)
    timesteps = torch.tensor([0, 250, 500, 999])
    # 2 x 0.09^(t/1000): 0.09^0 = 1, 0.09^0.25 = sqrt(0.3) = 0.5477226, 0.09^0.5 = 0.3, 0.09^0.999 = 0.0902170
    expected = torch.tensor([2.0, 1.0954451, 0.6, 0.1804339])
    c = losses.huber_threshold(config, timesteps, DDPM(torch.full((1000,), 0.5), "epsilon"))
    torch.testing.assert_close(c, expected, rtol=1e-5, atol=0)


def test_snr_threshold_of_each_sample():
    config = LossConfig(type="huber", huber_schedule="snr", huber_c=0.2, huber_scale=7.0)  # the scale plays no part
    # 0.8 / (1 + sigma)^2 + 0.2: 0.8/2.25 + 0.2, 0.8/4 + 0.2, 0.8/9 + 0.2
    expected = torch.tensor([0.5555556, 0.4, 0.2888889])
    torch.testing.assert_close(losses.huber_threshold(config, torch.arange(3), EPSILON), expected)


def test_huber_with_snr_threshold_uses_each_rows_timestep():
    config = LossConfig(type="huber", huber_schedule="snr", huber_c=0.2)
    prediction, target = differing_by(0.3, rows=2)
    values = losses.elementwise(prediction, target, config, torch.tensor([1, 0]), EPSILON)
    # c = 0.4: 0.8 x (sqrt(0.09 + 0.16) - 0.4) = 0.08
    # c = 5/9: 10/9 x (sqrt(0.09 + 25/81) - 5/9) = 10/9 x (0.6314 - 0.5555556), sqrt(0.3986420) = 0.6313810
    expected = torch.cat([one(0.08), one(0.0842506)])
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=0)


def test_huber_keeps_the_digits_of_small_differences():
    prediction, target = differing_by(1e-4)
    config = LossConfig(type="huber", huber_schedule="constant", huber_c=1.0)
    # far below c, 2 c (sqrt(d^2 + c^2) - c) = d^2; in fp32 sqrt(1 + 1e-8) - 1 would be 0
    values = losses.elementwise(prediction, target, config, torch.tensor([0]), EPSILON)
    torch.testing.assert_close(values, one(1e-8), rtol=1e-5, atol=0)


def test_min_snr_weight_for_epsilon():
    # gamma 2: min(SNR, 2) / SNR = 2/4, 1/1, 0.25/0.25
    weights = EPSILON.min_snr_weight(torch.arange(3), 2.0)
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.0, 1.0]))


def test_min_snr_weight_for_v_prediction():
    # gamma 2: min(SNR, 2) / (SNR + 1) = 2/5, 1/2, 0.25/1.25
    weights = VELOCITY.min_snr_weight(torch.arange(3), 2.0)
    torch.testing.assert_close(weights, torch.tensor([0.4, 0.5, 0.2]))


def test_debiased_weight():
    # 1 / sqrt(SNR) = 1/2, 1, 2; 1 / (SNR + 1) = 1/5, 1/2, 4/5
    for kind, expected in (("epsilon", [0.5, 1.0, 2.0]), ("v_prediction", [0.2, 0.5, 0.8])):
        torch.testing.assert_close(DDPM(ALPHAS, kind).debiased_weight(torch.arange(3)), torch.tensor(expected))


def test_debiased_weight_of_an_image_without_noise_is_that_of_snr_1000():
    weights = DDPM(torch.tensor([1.0, 0.9999]), "epsilon").debiased_weight(torch.arange(2))
    torch.testing.assert_close(weights, torch.full((2,), 1000**-0.5))


def test_the_loss_is_weighted_by_debiased_estimation_when_asked_for():
    prediction, target = differing_by(2.0, rows=3)
    values = losses.per_sample(prediction, target, LossConfig(debiased=True), torch.arange(3), EPSILON, torch.ones(3))
    torch.testing.assert_close(values, torch.tensor([2.0, 4.0, 8.0]))


@pytest.mark.parametrize("last", [2.0**-24, 0.0], ids=["as diffusers rescales", "exactly none"])
@pytest.mark.parametrize(
    "settings", [{"min_snr_gamma": 5.0}, {"debiased": True}, {"type": "huber"}, {"type": "smooth_l1"}, {"type": "l1"}]
)
def test_every_loss_is_finite_without_any_signal(settings, last):
    alphas = torch.linspace(0.999, 0, 1000).index_fill(0, torch.tensor([999]), last)
    prediction = torch.full((2, 4, 2, 2), 0.5, requires_grad=True)
    values = losses.per_sample(
        prediction,
        torch.zeros(2, 4, 2, 2),
        LossConfig(**settings),
        torch.tensor([999, 0]),
        DDPM(alphas, "v_prediction"),
        torch.ones(2),
    )
    values.sum().backward()
    assert values.isfinite().all() and prediction.grad.isfinite().all()
    assert DDPM(alphas, "epsilon").min_snr_weight(torch.tensor([999]), 5.0).tolist() == [1.0]


def test_a_mask_weighs_the_pixels():
    # squares 1, 4, 9, 16 in both channels; mask 1, 0.5, 0, 0
    prediction = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 2, 2).repeat(1, 2, 1, 1)
    mask, zero = torch.tensor([1.0, 0.5, 0.0, 0.0]).view(1, 1, 2, 2), torch.zeros(1, 2, 2, 2)

    def loss(unmasked_weight: float) -> float:
        config = LossConfig(unmasked_weight=unmasked_weight)
        arguments = (prediction, zero, config, torch.tensor([0]), EPSILON, torch.ones(1), mask)
        return losses.per_sample(*arguments).item()

    assert loss(0.0) == pytest.approx((1 + 0.5 * 4) / 1.5)
    # weights 1, 0.6, 0.2, 0.2 with 0.2 outside
    assert loss(0.2) == pytest.approx((1 + 0.6 * 4 + 0.2 * 9 + 0.2 * 16) / 2)


def test_an_undivided_mask_makes_an_image_count_by_its_area():
    # as above, over all four pixels: (1 + 0.5 x 4) / 4 instead of / 1.5
    prediction = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 2, 2).repeat(1, 2, 1, 1)
    mask, zero = torch.tensor([1.0, 0.5, 0.0, 0.0]).view(1, 1, 2, 2), torch.zeros(1, 2, 2, 2)
    arguments = (prediction, zero, LossConfig(), torch.tensor([0]), EPSILON, torch.ones(1), mask)
    assert losses.per_sample(*arguments, undivided_masks=True).item() == pytest.approx(3 / 4)


def test_a_full_mask_is_no_mask_to_the_bit():
    draws = torch.Generator().manual_seed(0)
    prediction, target = torch.randn(2, 5, 4, 7, 9, generator=draws)
    arguments = (prediction, target, LossConfig(), torch.zeros(5, dtype=torch.long), EPSILON, torch.ones(5))
    assert torch.equal(losses.per_sample(*arguments, torch.ones(5, 1, 7, 9)), losses.per_sample(*arguments))


def test_nothing_is_learned_outside_of_a_mask():
    prediction = torch.zeros(1, 2, 2, 2, requires_grad=True)
    mask = torch.tensor([1.0, 0.0, 0.0, 0.0]).view(1, 1, 2, 2)
    losses.masked_mean((prediction - 1) ** 2, mask, 0.0).sum().backward()
    assert (prediction.grad != 0).flatten(2).tolist() == [[[True, False, False, False]] * 2]


def test_per_sample_is_mean_times_weight_times_min_snr():
    target = torch.zeros(3, 2, 1, 2)
    prediction = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2).repeat(3, 1, 1, 1)
    # mean of squares: (1 + 4 + 9 + 16) / 4 = 7.5; weights 1, 1, 0.5; min-SNR (gamma 2) 0.5, 1, 1
    config = LossConfig(min_snr_gamma=2.0)
    values = losses.per_sample(prediction, target, config, torch.arange(3), EPSILON, torch.tensor([1.0, 1.0, 0.5]))
    torch.testing.assert_close(values, torch.tensor([3.75, 7.5, 3.75]))


def test_without_gamma_there_is_no_min_snr():
    prediction, target = differing_by(2.0)
    values = losses.per_sample(prediction, target, LossConfig(), torch.tensor([0]), EPSILON, torch.ones(1))
    torch.testing.assert_close(values, torch.tensor([4.0]))


def test_half_precision_predictions_are_measured_in_fp32():
    # (1 + 2^-7)^2 = 1 + 2^-6 + 2^-14 needs 15 bits, and bf16 has 8
    target = torch.zeros(1, 1, 1, 1)
    prediction = torch.full((1, 1, 1, 1), 1 + 2**-7, dtype=torch.bfloat16)
    values = losses.per_sample(prediction, target, LossConfig(), torch.tensor([0]), EPSILON, torch.ones(1))
    assert values.dtype == torch.float32
    assert values.item() == 1 + 2**-6 + 2**-14


def test_short_batches_of_an_accumulation_group_weigh_what_their_samples_weigh():
    torch.manual_seed(0)
    x, target = torch.randn(5, 4, 2, 2, dtype=torch.float64), torch.randn(5, 4, 2, 2, dtype=torch.float64)
    timesteps, weights = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([1, 1, 0.5, 1, 1], dtype=torch.float64)

    def gradient(groups: list[slice]) -> torch.Tensor:
        w = torch.nn.Parameter(torch.ones(4, 1, 1, dtype=torch.float64))
        for rows in groups:
            values = losses.per_sample(w * x[rows], target[rows], LossConfig(), timesteps[rows], EPSILON, weights[rows])
            losses.reduce(values, group_size=5).backward()
        return w.grad

    whole = gradient([slice(0, 5)])
    split = gradient([slice(0, 2), slice(2, 4), slice(4, 5)])
    torch.testing.assert_close(split, whole, rtol=1e-5, atol=0)
    assert losses.group_sizes([2, 2, 1], accumulation=3) == [5, 5, 5]
    # and that is the mean over the five samples: by hand, d/dw of mean_i weight_i mean_chw (w x - y)^2
    by_hand = (2 * (x - target) * x * weights.view(5, 1, 1, 1)).sum(dim=(0, 2, 3)) / (5 * 16)
    torch.testing.assert_close(whole.flatten(), by_hand, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    "config",
    [LossConfig(type="l3"), LossConfig(type="huber", huber_schedule="warm")],
    ids=["type", "schedule"],
)
def test_unknown_choices_are_named(config):
    with pytest.raises(ValueError, match=r"l3|warm"):
        losses.elementwise(*differing_by(1.0), config, torch.tensor([0]), EPSILON)


def test_the_mean_of_batches_gives_each_batch_one_share_of_a_full_step():
    sizes = losses.group_sizes([2, 2, 1], accumulation=4, mean_of_batches=True)
    values = torch.tensor([1.0, 3.0, 5.0, 7.0, 9.0])
    parts = [losses.reduce(rows, size).item() for rows, size in zip(values.split([2, 2, 1]), sizes, strict=True)]
    assert parts == [2 / 4, 6 / 4, 9 / 4]  # each batch's mean / 4, though the epoch ended after three
    # dealt out to two processes, the shares of a batch add up to the same
    assert sum(losses.reduce(values[:2][rank::2], sizes[0]).item() for rank in (0, 1)) == 2 / 4
