"""A draw is a function of its arguments, and of nothing else."""

import torch

from lorasweep.randomness import generator, global_draws, permutation, random_for, seed_for


def test_same_arguments_same_draw() -> None:
    assert torch.equal(
        torch.randn(8, generator=generator(1, "noise", 2, 3)), torch.randn(8, generator=generator(1, "noise", 2, 3))
    )


def test_each_argument_matters() -> None:
    seeds = {
        seed_for(1, "noise", 2, 3),
        seed_for(2, "noise", 2, 3),
        seed_for(1, "shuffle", 2, 3),
        seed_for(1, "noise", 3, 2),
        seed_for(1, "noise", 23),
        seed_for(1, "noise", "2", 3),
        seed_for(1, "noise", 2),
    }
    assert len(seeds) == 7
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_value_is_the_same_on_every_machine_and_day() -> None:
    # blake2b with 8 bytes of "42\x1fnoise\x1fint:7", big-endian, shifted right once (computed apart).
    assert seed_for(42, "noise", 7) == 0x5154384A1520F93D


def test_permutation_holds_every_number_once() -> None:
    assert sorted(permutation(20, 5, "shuffle", 0)) == list(range(20))
    assert permutation(20, 5, "shuffle", 0) != permutation(20, 5, "shuffle", 1)


def test_global_draws_are_fixed_and_leave_the_global_state_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with global_draws(1, "dropout", 4):
        first = torch.rand(5)
    assert torch.equal(torch.rand(3), expected)
    with global_draws(1, "dropout", 4):
        assert torch.equal(torch.rand(5), first)


def test_python_draws_do_not_touch_the_global_generator() -> None:
    import random

    random.seed(3)
    state = random.getstate()
    random_for(1, "flip").random()
    assert random.getstate() == state
