"""The fake base predicts noise x (1 + error), so every loss is error^2 x the mean square of the noise.

Its latents are zero, so the noise can be read off what it is given: noisy = sqrt(1 - a_t) noise.
"""

import pytest
import torch
from torch import nn

from lorasweep.data.batch import HeldoutImage
from lorasweep.families.base import ImageFacts
from lorasweep.families.conditioning import Conditioning
from lorasweep.metrics.heldout import HeldoutLoss, stratified_timesteps
from lorasweep.process.ddpm import DDPM
from lorasweep.schema import EvaluationConfig

ALPHAS = torch.linspace(0.999, 0.01, 1000)


class Recorder:
    """Stands in for a base: remembers every row that it predicts."""

    device = torch.device("cpu")

    def __init__(self, error=lambda timesteps: 0.1 + 0 * timesteps.float(), prediction="epsilon") -> None:
        self.process = DDPM(ALPHAS, prediction)
        self.modules = {
            "unet": nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)),
            "text_encoder": nn.Dropout(0.5),
        }
        self.error = error
        self.rows: list[tuple[int, float, float, float]] = []
        self.batches: list[torch.Size] = []
        self.embedded: list[list[str]] = []
        self.training: set[bool] = set()
        self.noise: list[torch.Tensor] = []

    def embed(self, captions: list[str]) -> Conditioning:
        self.embedded.append(captions)
        values = torch.tensor([float(len(caption)) for caption in captions])
        return Conditioning({"length": values})

    def with_facts(self, text: Conditioning, facts: list[ImageFacts]) -> Conditioning:
        return Conditioning({**text.tensors, "width": torch.tensor([each.original[0] for each in facts])})

    def predict(self, noisy, timesteps, conditioning):
        assert not torch.is_grad_enabled()
        self.training |= {m.training for root in self.modules.values() for m in root.modules()}
        self.batches.append(noisy.shape)
        noise = noisy / (1 - ALPHAS[timesteps]).sqrt().view(-1, 1, 1, 1)
        self.noise += list(noise)
        told = conditioning.tensors
        for row in range(len(noisy)):
            self.rows.append(
                (timesteps[row].item(), told["length"][row].item(), told["width"][row].item(), noise[row].sum())
            )
        return noise * (1 + self.error(timesteps)).view(-1, 1, 1, 1)


def picture(latents, caption="x", width=0):
    return HeldoutImage(latents, caption, ImageFacts((width, 0), (0, 0), (0, 0)))


def images(count: int, shapes=((4, 8, 8),)):
    return [picture(torch.zeros(shapes[i % len(shapes)]), "x" * (i + 1), i) for i in range(count)]


def heldout(base, pictures, seed=0, **config) -> HeldoutLoss:
    return HeldoutLoss(base, pictures, EvaluationConfig(**config), seed)


def measured(base: Recorder, measurement: HeldoutLoss, error) -> dict[str, float]:
    measurement.measure_base(base.predict, base.embed)
    base.error = error
    return measurement.measure(base.predict, base.embed)


def test_ratio_of_half_the_error_is_a_quarter():
    base = Recorder()
    result = measured(base, heldout(base, images(3)), lambda t: 0.05 + 0 * t.float())
    ratios = {key: value for key, value in result.items() if "ratio" in key}
    assert set(ratios) == {"val/loss_ratio", *(f"val/loss_ratio_bin_{i}" for i in range(4))}
    assert list(ratios.values()) == pytest.approx([0.25] * 5, rel=1e-4)


def test_bins_run_from_little_to_much_noise():
    base = Recorder()
    # error 0.1 below t = 500 and 0.2 above, against the base's 0.1
    result = measured(base, heldout(base, images(2), timesteps=10, bins=2), lambda t: 0.1 + 0.1 * (t >= 500))
    assert result["val/loss_ratio_bin_0"] == pytest.approx(1, rel=1e-4)
    assert result["val/loss_ratio_bin_1"] == pytest.approx(4, rel=1e-4)
    # both bins have as many draws: the total's ratio lies between, as the mean of the losses
    assert result["val/loss"] == pytest.approx((result["val/loss_bin_0"] + result["val/loss_bin_1"]) / 2)


def test_loss_is_the_mean_over_rows_of_the_mean_square():
    base = Recorder(lambda t: 0.1 * (t.float() + 1))
    measurement = heldout(base, images(2, ((4, 8, 8), (4, 4, 12))), timesteps=3)
    losses = measurement.measure_base(base.predict, base.embed)
    expected = [
        ((0.1 * (row[0] + 1)) ** 2 * noise.square().mean().item())
        for row, noise in zip(base.rows, base.noise, strict=True)
    ]
    assert losses["val/loss"] == pytest.approx(sum(expected) / 6, rel=1e-4)


def test_a_bin_without_draws_is_left_out():
    base = Recorder()
    losses = heldout(base, images(1), timesteps=1, bins=4).measure_base(base.predict, base.embed)
    index = base.rows[0][0] // 250
    assert set(losses) == {
        "val/loss",
        "val/loss_ratio",
        f"val/loss_bin_{index}",
        f"val/loss_ratio_bin_{index}",
    }


def test_the_bases_own_ratios_are_one():
    base = Recorder()
    losses = heldout(base, images(2)).measure_base(base.predict, base.embed)
    assert [value for key, value in losses.items() if "ratio" in key] == [1.0] * 5


def test_the_same_draws_at_every_measurement_and_in_every_version():
    first, second = Recorder(), Recorder()
    measurement = heldout(first, images(3))
    measurement.measure_base(first.predict, first.embed)
    rows = list(first.rows)
    torch.manual_seed(99)
    measurement.measure(first.predict, first.embed)
    assert first.rows[len(rows) :] == rows
    heldout(second, images(3)).measure_base(second.predict, second.embed)
    assert second.rows == rows
    other = Recorder()
    heldout(other, images(3), seed=1).measure_base(other.predict, other.embed)
    assert [row[0] for row in other.rows] != [row[0] for row in rows]


def test_every_row_has_its_own_noise():
    base = Recorder()
    heldout(base, images(3), timesteps=4).measure_base(base.predict, base.embed)
    noise = torch.corrcoef(torch.stack(base.noise).flatten(1))
    # 256 values a row: the correlation of independent rows has a standard error of 0.06
    assert (noise - torch.eye(12)).abs().max() < 0.3


def test_batches_change_nothing(monkeypatch):
    one, many = Recorder(), Recorder()
    pictures = images(5, ((4, 8, 8), (4, 4, 12)))
    large = heldout(many, pictures, timesteps=6).measure_base(many.predict, many.embed)
    monkeypatch.setattr("lorasweep.metrics.heldout.BATCH_ROWS", 1)
    small = heldout(one, pictures, timesteps=6).measure_base(one.predict, one.embed)
    assert small == pytest.approx(large, rel=1e-5)
    assert len(one.batches) == 30
    # 3 images of one shape and 2 of the other, x 6 timesteps: 18 = 16 + 2 rows and 12 rows
    assert many.batches == [(16, 4, 8, 8), (2, 4, 8, 8), (12, 4, 4, 12)]


def test_rows_get_their_own_caption_and_size():
    base = Recorder()
    heldout(base, images(3), timesteps=2).measure_base(base.predict, base.embed)
    # image i has a caption of i + 1 letters and is i pixels wide
    assert [(row[1], row[2]) for row in base.rows] == [(1, 0), (1, 0), (2, 1), (2, 1), (3, 2), (3, 2)]


def test_each_distinct_caption_is_embedded_once():
    base = Recorder()
    pictures = [*images(2), *images(2)]
    heldout(base, pictures, timesteps=4).measure_base(base.predict, base.embed)
    assert base.embedded == [["x", "xx"]]


def test_timesteps_are_stratified():
    process = DDPM(ALPHAS, "epsilon")
    draws = {tuple(stratified_timesteps(seed, image, 8, process)) for seed in range(20) for image in range(20)}
    for timesteps in draws:
        assert [t // 125 for t in timesteps] == list(range(8))
    first = [timesteps[0] for timesteps in draws]
    # uniform inside the stratum: 400 draws, mean 62 with standard error 1.8
    assert min(first) < 5
    assert max(first) > 119
    assert abs(sum(first) / len(first) - 62) < 7.5
    assert stratified_timesteps(0, 0, 1000, process) == list(range(1000))


def test_v_prediction_is_measured_against_the_velocity():
    base = Recorder(prediction="v_prediction")

    def velocity(noisy, timesteps, conditioning):
        noise = noisy / (1 - ALPHAS[timesteps]).sqrt().view(-1, 1, 1, 1)
        return ALPHAS[timesteps].sqrt().view(-1, 1, 1, 1) * noise  # the latents are zero

    losses = heldout(base, images(2)).measure_base(velocity, base.embed)
    assert losses["val/loss"] == pytest.approx(0, abs=1e-10)


def test_latents_are_noised_not_replaced():
    base = Recorder()
    latents = torch.full((4, 8, 8), 3.0)

    def noise_of(noisy, timesteps, conditioning):
        alphas = ALPHAS[timesteps].view(-1, 1, 1, 1)
        return (noisy - alphas.sqrt() * 3.0) / (1 - alphas).sqrt()

    measurement = heldout(base, [picture(latents)])
    assert measurement.measure_base(noise_of, base.embed)["val/loss"] == pytest.approx(0, abs=1e-6)


def test_dropout_is_off_meanwhile_and_on_again_after():
    base = Recorder()
    base.modules["text_encoder"].eval()
    heldout(base, images(1)).measure_base(base.predict, base.embed)
    assert base.training == {False}
    assert all(module.training for module in base.modules["unet"].modules())
    assert not base.modules["text_encoder"].training


def test_more_images_than_allowed_are_thinned_out_by_the_seed():
    chosen = set()
    for seed in (0, 0, 1):
        base = Recorder()
        heldout(base, images(50), seed=seed, max_images=4, timesteps=2).measure_base(base.predict, base.embed)
        sizes = sorted({row[2] for row in base.rows})
        assert len(sizes) == 4
        chosen.add(tuple(sizes))
    assert len(chosen) == 2


def test_wrong_calls_are_refused():
    base = Recorder()
    with pytest.raises(RuntimeError, match="measure_base"):
        heldout(base, images(1)).measure(base.predict, base.embed)
    with pytest.raises(ValueError, match="at least one"):
        heldout(base, [])
