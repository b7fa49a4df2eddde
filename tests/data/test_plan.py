from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from lorasweep.data.plan import Plan
from lorasweep.randomness import Row


def rows_of(plan: Plan) -> list[list[Row]]:
    return [batch for step in range(plan.total_steps) for batch in plan.batches(step)]


def plan_of(*buckets: dict[int, int], batch: int = 2, accumulation: int = 1, epochs: int = 1, **more) -> Plan:
    return Plan(buckets, batch, accumulation, epochs, more.get("max_steps"), more.get("seed", 0))


def images(count: int, repeats: int = 1, first: int = 0) -> dict[int, int]:
    return dict.fromkeys(range(first, first + count), repeats)


# Images, repeats, batch, epochs -> steps, as the five LoRAs' tables have them: kohya's GUI, one rounding.
DOCUMENTED = {
    "animal/v1": (42, 20, 4, 20, 4200),
    "animal/v2": (42, 10, 4, 40, 4200),
    "animal/v3": (42, 30, 4, 15, 4725),
    "food/v1": (27, 40, 2, 12, 6480),
    "food/v2": (27, 30, 4, 20, 4050),  # 202.5 steps an epoch: one rounding, at the end
    "food/v3": (27, 30, 4, 20, 4050),
    "food/v4": (27, 12, 4, 40, 3240),
    "food/v8": (27, 20, 4, 30, 4050),
    "food/v9": (27, 30, 2, 10, 4050),
    "fuzzybear/v1": (8, 50, 2, 20, 4000),
    "robots/v1": (15, 40, 4, 25, 3750),
    "robots/v2": (15, 40, 2, 15, 4500),
    "starwars/v1": (19, 40, 4, 20, 3800),
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_step_counts(name):
    count, repeats, batch, epochs, steps = DOCUMENTED[name]
    assert Plan([images(count, repeats)], batch, 1, epochs, None, 0).total_steps == steps


@pytest.mark.parametrize("name", DOCUMENTED)
def test_step_counts_of_sd_scripts_are_rounded_up_in_every_epoch(name):
    count, repeats, batch, epochs, steps = DOCUMENTED[name]
    if name in ("food/v2", "food/v3"):
        steps = 4060  # 20 x 203; all others have whole epochs and agree
    plan = Plan([images(count, repeats)], batch, 1, epochs, None, 0, round_each_epoch=True)
    assert plan.total_steps == steps
    assert plan.epoch_ends == [steps // epochs * done for done in range(1, epochs + 1)]


def test_the_guis_number_of_steps_cuts_the_last_epoch_of_sd_scripts_short():
    plan = Plan([images(27, 30)], 4, 1, 20, 4050, 0, round_each_epoch=True)
    assert (plan.total_steps, plan.total_epochs, plan.batches_per_epoch) == (4050, 20, 203)
    assert plan.epoch_ends[-2:] == [19 * 203, 4050]  # 193 of 203: ten batches early
    sizes = [len(plan.batches(step)[0]) for step in range(203)]
    assert sorted(sizes) == [2] + [4] * 202  # 810 draws; the short batch is trained anywhere in its epoch


def test_accumulation_is_rounded_up_once():
    # 16200 draws / 16 = 1012.5
    assert plan_of(images(27, 30), batch=4, accumulation=4, epochs=20).total_steps == 1013


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_every_draw_is_trained_exactly_once_per_epoch(batch, accumulation):
    buckets = [images(5, 3), images(2, 3, first=5), {7: 4, 8: 1}]
    plan = plan_of(*buckets, batch=batch, accumulation=accumulation, epochs=4)
    batches = rows_of(plan)
    seen = Counter(row for rows in batches for row in rows)
    planned = {
        Row(item, repeat, epoch)
        for bucket in buckets
        for item, repeats in bucket.items()
        for repeat in range(repeats)
        for epoch in range(4)
    }
    assert set(seen) == planned
    assert set(seen.values()) == {1}
    for rows in batches:
        assert sum(any(row.item in bucket for row in rows) for bucket in buckets) == 1, "a batch mixes buckets"
    for bucket in buckets:
        short = [rows for rows in batches if rows[0].item in bucket and len(rows) < batch]
        assert len(short) == (1 if sum(bucket.values()) * 4 % batch else 0)
    assert len(batches) == sum(-(-sum(bucket.values()) * 4 // batch) for bucket in buckets)
    assert plan.total_steps == -(-len(batches) // accumulation)


@pytest.mark.parametrize("accumulation", [1, 2, 3])
def test_rounding_in_each_epoch_neither_mixes_nor_skips(accumulation):
    # 15, 6 and 5 draws in batches of 4: 4 + 2 + 2 batches an epoch
    buckets = [images(5, 3), images(2, 3, first=5), {7: 4, 8: 1}]
    plan = Plan(buckets, 4, accumulation, 3, None, 0, round_each_epoch=True)
    a_epoch = -(-8 // accumulation)
    assert (plan.total_steps, plan.epoch_ends) == (3 * a_epoch, [a_epoch, 2 * a_epoch, 3 * a_epoch])
    for epoch in range(3):
        steps = [plan.batches(step) for step in range(epoch * a_epoch, (epoch + 1) * a_epoch)]
        assert [len(step) for step in steps] == [accumulation] * (8 // accumulation) + [8 % accumulation] * (
            a_epoch - 8 // accumulation
        )
        batches = [rows for step in steps for rows in step]
        assert sorted(map(len, batches)) == [1, 2, 3, 4, 4, 4, 4, 4]
        assert len({row for rows in batches for row in rows}) == 26
        assert {row.epoch for rows in batches for row in rows} == {epoch}
        assert all(sum(any(row.item in bucket for row in rows) for bucket in buckets) == 1 for rows in batches)


def test_an_epoch_begins_alike_whether_or_not_batches_run_on():
    # 8 draws in batches of 4: nothing is left over, so there is nothing to round
    plans = [Plan([images(8)], 4, 1, 3, None, 0, round_each_epoch=rounded) for rounded in (False, True)]
    assert rows_of(plans[0]) == rows_of(plans[1])


def test_batches_run_on_across_the_end_of_an_epoch():
    # 3 draws an epoch in batches of 2: epoch 0 owns draws 01, 2|0 (the last one of epoch 1), epoch 1 the
    # other two.
    plan = plan_of(images(3), batch=2, epochs=4)
    assert plan.total_steps == 6
    assert plan.epoch_ends == [2, 3, 5, 6]
    epochs = [[row.epoch for row in plan.batches(step)[0]] for step in range(6)]
    assert sorted(epochs[:2]) == [[0, 0], [0, 1]]
    assert epochs[2] == [1, 1]
    assert sorted(epochs[3:5]) == [[2, 2], [2, 3]]
    assert epochs[5] == [3, 3]


def test_epochs_of_several_buckets_end_when_their_last_batch_is_trained():
    # Draws 3 and 5, batch 2: epoch 0 owns 2 + 3 batches, epoch 1 owns 1 + 2; in steps of 2 batches: 2.5, 4.
    plan = plan_of(images(3), images(5, first=3), batch=2, epochs=2, accumulation=2)
    assert plan.epoch_ends == [3, 4]
    assert [len(plan.batches(step)) for step in range(4)] == [2, 2, 2, 2]
    first_epoch = [rows for step in range(3) for rows in plan.batches(step)][:5]
    assert all(rows[0].epoch == 0 for rows in first_epoch)


def test_epochs_shorter_than_a_batch_share_their_end():
    # Two buckets of one image in batches of 4: one batch each holds four epochs.
    plan = plan_of(images(1), images(1, first=1), batch=4, epochs=5)
    assert plan.epoch_ends == [2, 2, 2, 2, 4]
    assert plan.batches(0)[0] == [Row(plan.batches(0)[0][0].item, 0, epoch) for epoch in range(4)]


def test_max_steps_wins_and_nothing_is_cut_short():
    plan = plan_of(images(3), images(2, first=3), batch=4, epochs=1, accumulation=2, max_steps=4)
    assert plan.total_steps == 4
    batches = rows_of(plan)
    assert [len(rows) for rows in batches] == [4] * 8
    # 5 draws an epoch; epochs start at batches ceil(3e/4) + ceil(2e/4) = 0 2 3 5 5 7 8
    assert plan.total_epochs == 6
    assert plan.epoch_ends == [1, 2, 3, 3, 4, 4]


def test_max_steps_in_the_middle_of_an_epoch_ends_that_epoch():
    plan = plan_of(images(10), batch=2, epochs=50, max_steps=7)
    assert (plan.total_epochs, plan.epoch_ends) == (2, [5, 7])


def test_a_step_is_a_pure_function():
    def make() -> Plan:
        return plan_of(images(7, 3), images(4, 3, first=7), batch=3, epochs=6, accumulation=2, seed=5)

    plan, forward = make(), make()
    expected = [forward.batches(step) for step in range(forward.total_steps)]
    assert [plan.batches(step) for step in reversed(range(plan.total_steps))] == expected[::-1]
    other = plan_of(images(7, 3), images(4, 3, first=7), batch=3, epochs=6, accumulation=2, seed=6)
    assert [other.batches(step) for step in range(other.total_steps)] != expected


def test_more_epochs_only_append():
    short, long = plan_of(images(5), epochs=2), plan_of(images(5), epochs=9)
    assert [short.batches(step) for step in range(5)] == [long.batches(step) for step in range(5)]
    short, long = (Plan([images(5)], 2, 2, epochs, None, 0, round_each_epoch=True) for epochs in (2, 9))
    assert [short.batches(step) for step in range(4)] == [long.batches(step) for step in range(4)]


def test_each_epoch_and_bucket_has_its_own_order():
    plan = plan_of(images(20), images(20, first=20), batch=20, epochs=2)
    orders = {(rows[0].item // 20, rows[0].epoch): tuple(row.item % 20 for row in rows) for rows in rows_of(plan)}
    assert len(orders) == 4
    assert len(set(orders.values())) == 4
    assert tuple(range(20)) not in orders.values()


def test_buckets_are_trained_in_mixed_order():
    plan = plan_of(images(40), images(40, first=40), batch=2, epochs=1)
    buckets = [rows[0].item // 40 for rows in rows_of(plan)]
    assert buckets != sorted(buckets)
    assert buckets != sorted(buckets, reverse=True)


def test_steps_outside_the_plan():
    plan = plan_of(images(4), batch=2)
    for step in (-1, 2):
        with pytest.raises(IndexError, match=r"outside 0\.\.1"):
            plan.batches(step)


def test_nothing_to_draw():
    for buckets in ([], [{}]):
        with pytest.raises(ValueError, match="at least one"):
            Plan(buckets, 2, 1, 1, None, 0)


def test_explanation_of_one_bucket():
    assert plan_of(images(8, 50), batch=2, epochs=20).explain().splitlines() == [
        "8 images x 50 repeats = 400 draws an epoch",
        "/ batch 2 = 200 steps; x 20 epochs = 4000 steps",
    ]
    assert "/ batch 4 = 202.5 steps; x 20 epochs = 4050 steps" in plan_of(images(27, 30), batch=4, epochs=20).explain()


def test_explanation_of_everything_else():
    plan = Plan([{0: 10, 1: 10, 2: 3}, {3: 2, 4: 2}], 2, 4, 1, 9, 0, regularisation={3, 4})
    first, second, third = plan.explain().splitlines()
    assert first == "1 image x 3 repeats + 2 images x 10 repeats + 2 regularisation images x 2 = 27 draws an epoch"
    # 27 draws / 2 / 4; 9 steps = 36 batches; epochs start at batches 0, 14, 27, 41
    assert (
        second
        == "/ batch 2 / accumulation 4 = 3.38 steps; max_steps 9 wins over epochs: 3 epochs, the last one partial"
    )
    assert third.startswith("2 buckets of 23 + 4 draws: batches never mix them")
    assert plan.total_epochs == 3


def test_explanation_of_rounding_in_each_epoch():
    plan = Plan([images(27, 30)], 4, 1, 20, None, 0, round_each_epoch=True)
    assert (
        plan.explain().splitlines()[1] == "/ batch 4 = 203 steps in every epoch, rounded up; x 20 epochs = 4060 steps"
    )
    plan = Plan([images(27, 30), images(1, 1, first=27)], 4, 1, 20, 4080, 0, round_each_epoch=True)
    _, second, third = plan.explain().splitlines()
    assert second.endswith("max_steps 4080 wins over epochs: 20 epochs")  # 20 x 204
    assert third.endswith("and end with the epoch (each bucket's last batch in it can be short)")


def test_a_step_costs_little_whatever_came_before():
    plan = plan_of(images(2000, 50), batch=4, epochs=10)
    last = plan.total_steps - 1
    plan.batches(last)  # permutes this epoch once
    shuffles = plan._shuffled.cache_info().misses
    for step in range(last - 500, last):
        plan.batches(step)
    assert plan._shuffled.cache_info().misses == shuffles == 1


def test_no_torch_is_needed():
    code = "import sys, lorasweep.data.plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
