import pytest
import torch
from torch.nn.functional import interpolate

from lorasweep.process import noise
from lorasweep.process.ddpm import DDPM
from lorasweep.randomness import Row, generator, random_for
from lorasweep.schema import LossConfig

SHAPE = (4, 8, 6)
ALPHAS = torch.linspace(0.999, 0.005, 1000)
PROCESS = DDPM(ALPHAS, "epsilon")


def drawn(rows: list[Row], shape: tuple[int, int, int] = SHAPE, seed: int = 1, **knobs: object) -> torch.Tensor:
    """The noise of these rows, on latents that are zero."""
    return noise.noise_for(rows, torch.zeros(len(rows), *shape), LossConfig(**knobs), seed)


def noised(rows: list[Row], seed: int = 1, **knobs: object) -> noise.Noised:
    latents = torch.randn(len(rows), *SHAPE, generator=torch.Generator().manual_seed(0))
    return noise.noised(rows, latents, LossConfig(**knobs), seed, PROCESS, "cpu")


ROWS = [Row(item, repeat, epoch) for item in range(3) for repeat in range(2) for epoch in range(2)]


def test_a_rows_draws_do_not_depend_on_its_batch():
    knobs = {
        "noise_offset": 0.1,
        "noise_offset_random": True,
        "multires_iterations": 3,
        "input_perturbation": 0.1,
        "input_perturbation_random": True,
    }
    together = noise.noised(ROWS, torch.zeros(len(ROWS), *SHAPE), LossConfig(**knobs), 1, PROCESS, "cpu")
    for number, row in reversed(list(enumerate(ROWS))):
        alone = noise.noised([row], torch.zeros(1, *SHAPE), LossConfig(**knobs), 1, PROCESS, "cpu")
        assert torch.equal(alone.target[0], together.target[number])
        assert torch.equal(alone.noisy[0], together.noisy[number])
    timesteps = noise.timesteps_for(ROWS, 1, PROCESS, 0, 1000)
    assert timesteps.tolist() == [noise.timesteps_for([row], 1, PROCESS, 0, 1000).item() for row in ROWS]


def test_global_generators_play_no_part():
    torch.manual_seed(0)
    first = drawn(ROWS, seed=1)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert torch.equal(drawn(ROWS, seed=1), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_item_repeat_epoch_and_seed_each_change_the_draws():
    draws = [Row(0, 0, 0), Row(1, 0, 0), Row(0, 1, 0), Row(0, 0, 1)]
    values = drawn(draws, seed=1)
    assert len({value.sum().item() for value in values}) == 4
    assert not torch.equal(drawn(draws, seed=2), values)
    many = [Row(item, repeat, epoch) for item in range(10) for repeat in range(10) for epoch in range(10)]
    first, second = (noise.timesteps_for(many, seed, PROCESS, 0, 1000) for seed in (1, 2))
    assert not torch.equal(first, second)


def test_noise_is_standard_normal():
    values = drawn([Row(i, 0, 0) for i in range(200)], seed=3)
    assert values.shape == (200, *SHAPE)
    assert values.dtype == torch.float32
    # 38,400 draws: the standard error of the mean is 0.0051, of the variance 0.0072
    assert abs(values.mean()) < 0.02
    assert abs(values.var() - 1) < 0.03


def test_offset_is_one_value_per_row_and_channel_of_the_given_strength():
    rows = [Row(i, 0, 0) for i in range(500)]
    plain = drawn(rows, (4, 2, 2), seed=5)
    offset = drawn(rows, (4, 2, 2), seed=5, noise_offset=0.2) - plain
    torch.testing.assert_close(offset, offset[..., :1, :1].expand_as(offset), rtol=0, atol=1e-6)
    z = offset[..., 0, 0] / 0.2
    # 2,000 draws z ~ N(0, 1): standard error of the mean 0.022, of the standard deviation 0.016
    assert abs(z.mean()) < 0.09
    assert abs(z.std() - 1) < 0.065
    # independent between channels: correlation of 500 pairs has standard error 0.045
    assert abs(torch.corrcoef(z.T)[0, 1]) < 0.18


def test_offset_leaves_the_underlying_noise_as_it_was():
    """So that two versions that differ in the offset only are still paired."""
    rows = [Row(0, 0, 0)]
    difference = drawn(rows, seed=7, noise_offset=0.5) - drawn(rows, seed=7)
    assert difference.flatten(2).std(dim=2).max() < 1e-6


def test_offset_is_independent_of_the_noise():
    rows = [Row(i, 0, 0) for i in range(500)]
    plain = drawn(rows, (4, 1, 1), seed=5).flatten()
    z = (drawn(rows, (4, 1, 1), seed=5, noise_offset=0.2).flatten() - plain) / 0.2
    # 2,000 pairs: standard error of the correlation 0.022
    assert abs(torch.corrcoef(torch.stack([plain, z]))[0, 1]) < 0.09


def test_timesteps_are_uniform_over_the_whole_range():
    rows = [Row(item, repeat, 0) for item in range(100) for repeat in range(100)]
    timesteps = noise.timesteps_for(rows, 11, PROCESS, 0, 1000)
    assert timesteps.dtype == torch.int64
    assert timesteps.min() >= 0
    assert timesteps.max() <= 999
    # 10,000 draws in 10 bins of expected 1,000, standard deviation 30
    counts = torch.bincount(timesteps // 100, minlength=10)
    assert (counts - 1000).abs().max() < 130
    assert set(noise.timesteps_for(rows[:200], 11, PROCESS, 0, 3).tolist()) == {0, 1, 2}


def test_the_draws_are_those_of_the_first_runs():
    """Golden values: a version of an earlier release is resumed with the noise it would have had."""
    rows = [Row(3, 1, 2), Row(0, 0, 0)]
    index = [(row.item, row.repeat, row.epoch) for row in rows]
    plain = torch.stack([torch.randn(SHAPE, generator=generator(1, "noise", *i)) for i in index])
    z = torch.stack([torch.randn((4, 1, 1), generator=generator(1, "noise offset", *i)) for i in index])
    timesteps = torch.tensor([random_for(1, "timestep", *i).randrange(1000) for i in index])
    latents = torch.full((2, *SHAPE), 0.5)
    made = noise.noised(rows, latents, LossConfig(noise_offset=0.05), 1, PROCESS, "cpu")
    assert torch.equal(made.target, plain + 0.05 * z)
    assert torch.equal(made.timesteps, timesteps)
    assert torch.equal(made.noisy, PROCESS.add_noise(latents, plain + 0.05 * z, timesteps))
    assert plain[0, 0, 0, :2].tolist() == pytest.approx([-0.6460212, 0.7311683], abs=1e-6)
    assert timesteps.tolist() == [373, 100]


def shares(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """By which factor each row of `part` is that of `whole`, (B,)."""
    factors = (part * whole).flatten(1).sum(dim=1) / (whole**2).flatten(1).sum(dim=1)
    torch.testing.assert_close(part, factors.view(-1, 1, 1, 1) * whole, rtol=1e-4, atol=1e-5)
    return factors


def test_a_random_offset_is_the_full_one_times_a_uniform_draw_per_image():
    rows = [Row(i, 0, 0) for i in range(1000)]
    plain = drawn(rows, (4, 1, 1))
    full = drawn(rows, (4, 1, 1), noise_offset=0.5) - plain
    share = shares(drawn(rows, (4, 1, 1), noise_offset=0.5, noise_offset_random=True) - plain, full)
    # 1,000 uniform draws: standard error of the mean 0.0091, 100 expected in each tenth with a deviation of 9.5
    assert abs(share.mean() - 0.5) < 0.037
    assert (torch.histc(share, bins=10, min=0, max=1) - 100).abs().max() < 45


@pytest.mark.parametrize(("scale", "expected"), [(0.5, [0.6, 0.1, 1.1, 0.1]), (-0.05, [0.05, 0.1, 0, 0.1])])
def test_the_adaptive_scale_adds_to_the_offset_by_the_mean_of_each_channel(scale, expected):
    # |channel means| 1, 0, 2, 0: offset 0.1 + 0.5 x mean; 0.1 - 0.05 x mean, which 0.1 - 0.05 x 2 brings to 0
    latents = torch.tensor([1.0, 0.0, -2.0, 0.0]).view(1, 4, 1, 1).expand(1, *SHAPE).clone()
    latents[:, 3, ::2] += 3.0
    latents[:, 3, 1::2] -= 3.0  # mean 0 whatever its contrast
    rows = [Row(0, 0, 0)]
    z = (drawn(rows, noise_offset=1.0) - drawn(rows))[0, :, 0, 0]
    made = noise.noise_for(rows, latents, LossConfig(noise_offset=0.1, adaptive_noise_scale=scale), 1) - drawn(rows)
    torch.testing.assert_close(made[0, :, 0, 0], z * torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_an_adaptive_offset_is_never_negative():
    latents, rows = torch.full((1, *SHAPE), 4.0), [Row(0, 0, 0)]
    made = noise.noise_for(rows, latents, LossConfig(noise_offset=0.1, adaptive_noise_scale=-1.0), 1)
    assert torch.equal(made, drawn(rows))


def test_coarser_layers_by_an_independent_sum():
    shape, row = (4, 16, 12), Row(5, 0, 1)
    index, discount = (5, 0, 1), 0.4
    expected = torch.randn(shape, generator=generator(1, "noise", *index))
    sizes, draws = random_for(1, "multires sizes", *index), generator(1, "multires noise", *index)
    seen = []
    for layer in range(10):
        shrink = (2 + 2 * sizes.random()) ** layer
        seen.append((max(1, int(16 / shrink)), max(1, int(12 / shrink))))
        coarse = torch.randn((1, 4, *seen[-1]), generator=draws)
        expected += 0.4**layer * interpolate(coarse, size=(16, 12), mode="bilinear")[0]
        if min(seen[-1]) == 1:
            break
    assert seen[0] == (16, 12) and 2 < len(seen) < 6, "full size first, down to a side of 1"
    made = drawn([row], shape, multires_iterations=10, multires_discount=discount)[0]
    torch.testing.assert_close(made, expected / expected.std())
    assert made.std().item() == pytest.approx(1.0, abs=1e-5)
    assert not torch.allclose(made, drawn([row], shape, multires_iterations=2, multires_discount=discount)[0])


def test_coarser_layers_make_neighbours_alike():
    rows = [Row(i, 0, 0) for i in range(50)]

    def likeness(values: torch.Tensor) -> float:
        pairs = torch.stack([values[..., 1:].flatten(), values[..., :-1].flatten()])
        return torch.corrcoef(pairs)[0, 1].item()

    plain = drawn(rows, (4, 16, 16))
    rough = [drawn(rows, (4, 16, 16), multires_iterations=6, multires_discount=d) for d in (0.3, 0.8)]
    assert abs(likeness(plain)) < 0.02 < likeness(rough[0]) < likeness(rough[1])


def test_the_perturbation_is_seen_by_the_network_and_not_by_the_target():
    plain, made = noised(ROWS), noised(ROWS, input_perturbation=0.1)
    assert torch.equal(made.target, plain.target) and torch.equal(made.timesteps, plain.timesteps)
    scale = (1 - ALPHAS[plain.timesteps]).sqrt().view(-1, 1, 1, 1)
    extra = (made.noisy - plain.noisy) / scale / 0.1
    # 12 x 192 draws: standard error of the mean 0.021, of the deviation 0.015
    assert abs(extra.mean()) < 0.09 and abs(extra.std() - 1) < 0.06
    assert abs(torch.corrcoef(torch.stack([extra.flatten(), plain.target.flatten()]))[0, 1]) < 0.09
    doubled = (noised(ROWS, input_perturbation=0.2).noisy - plain.noisy) / scale / 0.2
    torch.testing.assert_close(doubled, extra, rtol=1e-3, atol=1e-3)


def test_a_random_perturbation_has_a_strength_per_image():
    rows = [Row(i, 0, 0) for i in range(300)]
    plain = noised(rows).noisy
    full = noised(rows, input_perturbation=0.5).noisy - plain
    share = shares(noised(rows, input_perturbation=0.5, input_perturbation_random=True).noisy - plain, full)
    # 300 uniform draws: standard error of the mean 0.017
    assert abs(share.mean() - 0.5) < 0.07 and share.min() < 0.05 and share.max() > 0.95


def test_timesteps_stay_within_their_range():
    rows = [Row(i, 0, 0) for i in range(2000)]
    timesteps = noised(rows, min_timestep=200, max_timestep=300).timesteps
    # the chance that one of 100 timesteps is missed by 2,000 draws is 2e-7 at most
    assert sorted(set(timesteps.tolist())) == list(range(200, 300))
    assert set(noised(rows[:50], min_timestep=999).timesteps.tolist()) == {999}


def test_by_batch_one_draw_of_strength_serves_the_whole_batch():
    # the first row lends its own
    knobs = {"noise_offset": 0.1, "input_perturbation": 0.2}
    latents = torch.zeros(len(ROWS), *SHAPE)
    plain = noise.noised(ROWS, latents, LossConfig(), 1, PROCESS, "cpu")
    full = noise.noised(ROWS, latents, LossConfig(**knobs), 1, PROCESS, "cpu")
    randomly = LossConfig(**knobs, noise_offset_random=True, input_perturbation_random=True)
    made = noise.noised(ROWS, latents, randomly, 1, PROCESS, "cpu", by_batch=True)
    share = random_for(1, "noise offset strength", 0, 0, 0).random()
    torch.testing.assert_close(made.target - plain.target, share * (full.target - plain.target), rtol=0, atol=1e-6)
    unseen = [drawn.noisy - PROCESS.add_noise(latents, drawn.target, drawn.timesteps) for drawn in (made, full)]
    share = random_for(1, "input perturbation strength", 0, 0, 0).random()
    torch.testing.assert_close(unseen[0], share * unseen[1], rtol=0, atol=1e-6)


def test_by_batch_pyramid_noise_has_the_batchs_deviation_and_not_each_images():
    loss, latents = LossConfig(multires_iterations=4, multires_discount=0.8), torch.zeros(len(ROWS), *SHAPE)
    made = noise.noise_for(ROWS, latents, loss, 1, by_batch=True)
    assert made.std().item() == pytest.approx(1, abs=1e-6)
    assert made.std(dim=(1, 2, 3)).std() > 0.02
    alone = noise.noise_for(ROWS, latents, loss, 1)
    torch.testing.assert_close(made / made.std(dim=(1, 2, 3), keepdim=True), alone)
