from __future__ import annotations

import pytest

from lorasweep.data.folds import deal, grouped


def names(count: int) -> list[str]:
    return [f"picture {index}" for index in range(count)]


@pytest.mark.parametrize("folds", range(2, 11))
def test_folds_partition_the_images_evenly(folds):
    for count in range(folds, 45):
        dealt = deal([[index] for index in range(count)], names(count), folds, 0)
        assert len(dealt) == folds
        assert sorted(index for fold in dealt for index in fold) == list(range(count))
        sizes = [len(fold) for fold in dealt]
        assert max(sizes) - min(sizes) <= 1


def test_groups_stay_whole_and_the_folds_as_even_as_they_allow():
    groups = [[0, 5, 6, 9], [1, 2], [3], [4], [7], [8]]
    dealt = deal(groups, names(10), 3, 0)
    assert sorted(map(len, dealt)) == [3, 3, 4]
    assert sorted(index for fold in dealt for index in fold) == list(range(10))
    assert all(len([fold for fold in dealt if set(group) & set(fold)]) == 1 for group in groups)


def test_the_deal_follows_seed_and_pixels_and_not_the_order_of_files():
    digests = names(20)
    by_picture = [{digests[i] for i in fold} for fold in deal([[i] for i in range(20)], digests, 4, 3)]
    backwards = digests[::-1]
    assert [{backwards[i] for i in fold} for fold in deal([[i] for i in range(20)], backwards, 4, 3)] == by_picture
    assert [{digests[i] for i in fold} for fold in deal([[i] for i in range(20)], digests, 4, 4)] != by_picture


def test_more_folds_than_groups_are_refused():
    with pytest.raises(ValueError, match="2 groups cannot fill 3 folds"):
        deal([[0, 1], [2]], names(3), 3, 0)


def test_a_chain_of_alike_things_is_one_group():
    pairs = {(0, 4), (2, 4), (1, 3), (5, 6)}
    assert grouped(8, lambda left, right: (left, right) in pairs) == [[0, 2, 4], [1, 3], [5, 6], [7]]
    assert grouped(0, lambda left, right: True) == []
