from __future__ import annotations

import pytest

from lorasweep.data.split import split

RATIOS = (0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5, 0.75, 0.9)


def names(count: int) -> list[str]:
    return [f"picture {index}" for index in range(count)]


@pytest.mark.parametrize("ratio", RATIOS)
def test_never_overlaps_never_empty_never_everything(ratio):
    for count in range(2, 101):
        for seed in (0, 1, 42):
            training, held = split(names(count), ratio, seed)
            assert sorted(training + held) == list(range(count))
            assert training
            assert held
            assert abs(len(held) - count * ratio) <= 1


def test_share_is_rounded_half_up():
    # The sizes at which kohya's split overlaps by one image.
    expected = {(15, 0.1): 2, (19, 0.2): 4, (27, 0.1): 3, (8, 0.2): 2, (8, 0.1): 1, (42, 0.1): 4, (100, 0.9): 90}
    for (count, ratio), size in expected.items():
        assert len(split(names(count), ratio, 0)[1]) == size


@pytest.mark.parametrize("ratio", RATIOS)
def test_copies_stay_on_one_side(ratio):
    for count in range(3, 101):
        digests = [f"picture {index // 3}" if index % 2 else f"single {index}" for index in range(count)]
        training, held = split(digests, ratio, 7)
        assert training
        assert held
        assert not {digests[i] for i in training} & {digests[i] for i in held}
        assert sorted(training + held) == list(range(count))


def test_copies_alone_cannot_be_split():
    assert split(["same"] * 5, 0.5, 0) == ([0, 1, 2, 3, 4], [])


def test_two_groups_of_copies():
    training, held = split(["a", "a", "a", "b", "b"], 0.1, 0)
    assert (training, held) == ([0, 1, 2], [3, 4])  # the smaller group, although more than a tenth


def test_nothing_held_out_without_a_share_or_with_one_image():
    assert split(names(10), 0.0, 0) == (list(range(10)), [])
    assert split(["only"], 0.9, 0) == ([0], [])


def test_depends_on_seed_and_pixels_and_not_on_order():
    digests = names(30)
    held = {digests[i] for i in split(digests, 0.2, 3)[1]}
    backwards = digests[::-1]
    assert {backwards[i] for i in split(backwards, 0.2, 3)[1]} == held
    assert {digests[i] for i in split(digests, 0.2, 4)[1]} != held


def test_an_added_image_moves_at_most_one_other():
    digests = names(30)
    before = {digests[i] for i in split(digests, 0.2, 3)[1]}
    for new in range(20):
        longer = [*digests, f"new {new}"]
        after = {longer[i] for i in split(longer, 0.2, 3)[1]}
        assert len(before - after) <= 1
