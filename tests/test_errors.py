"""Problems: texts that know the keys they are about."""

import pickle

from lorasweep.errors import Problem, UserError


def test_a_problem_is_its_text_and_knows_its_keys():
    problem = Problem("scheduler.name=cosine: choose another", "scheduler.name")
    assert problem == "scheduler.name=cosine: choose another" and problem.startswith("scheduler")
    assert problem.keys == ("scheduler.name",)
    assert Problem("the disk is full").keys == ()
    assert pickle.loads(pickle.dumps(problem)).keys == problem.keys


def test_a_problem_follows_from_its_own_keys_and_groups_only():
    problem = Problem("...", "scheduler.name", "training.max_steps")
    assert problem.follows_from({"training.max_steps"}) and problem.follows_from({"scheduler"})
    assert not problem.follows_from({"name", "training", "sched"} - {"training"})
    assert not Problem("name=...").follows_from({"name"})


def test_an_error_takes_lines_and_problems_alike():
    error = UserError(["a is wrong", Problem("b is wrong", "b")])
    assert [problem.keys for problem in error.problems] == [(), ("b",)]
    assert error.render() == "This run cannot start (2 problems):\n  - a is wrong\n  - b is wrong"
    assert UserError("a is wrong").problems == ["a is wrong"]


def test_the_ways_on_stand_below_the_problems():
    error = UserError("a is wrong", "It stopped", ways={"go on": "python a", "start a new one": "python b"})
    assert error.render().splitlines() == [
        "It stopped (1 problem):",
        "  - a is wrong",
        "  go on            python a",
        "  start a new one  python b",
    ]
