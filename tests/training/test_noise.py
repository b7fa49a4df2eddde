import torch

from lorasweep.data.plan import Row
from lorasweep.training import noise

SHAPE = (4, 8, 6)


ROWS = [Row(item, repeat, epoch) for item in range(3) for repeat in range(2) for epoch in range(2)]


def test_a_rows_draws_do_not_depend_on_its_batch():
    together = noise.noise_for(ROWS, SHAPE, seed=1, noise_offset=0.1)
    alone = torch.cat([noise.noise_for([row], SHAPE, seed=1, noise_offset=0.1) for row in reversed(ROWS)])
    assert torch.equal(together, alone.flip(0))
    timesteps = noise.timesteps_for(ROWS, seed=1)
    assert timesteps.tolist() == [noise.timesteps_for([row], seed=1).item() for row in ROWS]


def test_global_generators_play_no_part():
    torch.manual_seed(0)
    first = noise.noise_for(ROWS, SHAPE, seed=1)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert torch.equal(noise.noise_for(ROWS, SHAPE, seed=1), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_item_repeat_epoch_and_seed_each_change_the_draws():
    draws = [Row(0, 0, 0), Row(1, 0, 0), Row(0, 1, 0), Row(0, 0, 1)]
    values = noise.noise_for(draws, SHAPE, seed=1)
    assert len({value.sum().item() for value in values}) == 4
    assert not torch.equal(noise.noise_for(draws, SHAPE, seed=2), values)
    many = [Row(item, repeat, epoch) for item in range(10) for repeat in range(10) for epoch in range(10)]
    assert noise.timesteps_for(many, seed=1).tolist() != noise.timesteps_for(many, seed=2).tolist()


def test_noise_is_standard_normal():
    values = noise.noise_for([Row(i, 0, 0) for i in range(200)], SHAPE, seed=3)
    assert values.shape == (200, *SHAPE)
    assert values.dtype == torch.float32
    # 38,400 draws: the standard error of the mean is 0.0051, of the variance 0.0072
    assert abs(values.mean()) < 0.02
    assert abs(values.var() - 1) < 0.03


def test_offset_is_one_value_per_row_and_channel_of_the_given_strength():
    rows = [Row(i, 0, 0) for i in range(500)]
    plain = noise.noise_for(rows, (4, 2, 2), seed=5)
    offset = noise.noise_for(rows, (4, 2, 2), seed=5, noise_offset=0.2) - plain
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
    difference = noise.noise_for(rows, SHAPE, 7, 0.5) - noise.noise_for(rows, SHAPE, 7)
    assert difference.flatten(2).std(dim=2).max() < 1e-6


def test_offset_is_independent_of_the_noise():
    rows = [Row(i, 0, 0) for i in range(500)]
    plain = noise.noise_for(rows, (4, 1, 1), seed=5).flatten()
    z = (noise.noise_for(rows, (4, 1, 1), seed=5, noise_offset=0.2).flatten() - plain) / 0.2
    # 2,000 pairs: standard error of the correlation 0.022
    assert abs(torch.corrcoef(torch.stack([plain, z]))[0, 1]) < 0.09


def test_timesteps_are_uniform_over_the_whole_range():
    rows = [Row(item, repeat, 0) for item in range(100) for repeat in range(100)]
    timesteps = noise.timesteps_for(rows, seed=11)
    assert timesteps.dtype == torch.int64
    assert timesteps.min() >= 0
    assert timesteps.max() <= 999
    # 10,000 draws in 10 bins of expected 1,000, standard deviation 30
    counts = torch.bincount(timesteps // 100, minlength=10)
    assert (counts - 1000).abs().max() < 130
    assert set(noise.timesteps_for(rows[:200], seed=11, count=3).tolist()) == {0, 1, 2}
