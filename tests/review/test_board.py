"""What is printed while a study runs."""

from __future__ import annotations

import io
import re
import time
from datetime import datetime
from types import SimpleNamespace

import optuna
import pytest
import rich
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from rich.console import Console

from lorasweep.review import board
from lorasweep.review.board import Board, seconds_left, standing

SPACE = {"optimizer.lr": "tag(log, interval(1e-5, 1e-3))", "network.rank": "range(4, 36, 4)"}
DISTRIBUTIONS = {"optimizer.lr": FloatDistribution(1e-6, 1e-2, log=True), "network.rank": IntDistribution(1, 64)}
NOON = datetime(2026, 1, 1, 12).timestamp()


class Terminal(io.StringIO):
    """A terminal that keeps all that was written to it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def at_seven_past_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "time", SimpleNamespace(time=lambda: NOON + 7))


@pytest.fixture
def study() -> optuna.Study:
    study = optuna.create_study(study_name="bear")
    study.set_user_attr("space", SPACE)
    return study


def add(study, value=None, state=TrialState.COMPLETE, *, reports=None, began=NOON, **attributes):
    """Add a trial that took 20 s (or runs) and return it as the storage has it."""
    trial = create_trial(
        state=state,
        value=value,
        params={"optimizer.lr": 3.1e-4, "network.rank": 8},
        distributions=DISTRIBUTIONS,
        user_attrs={"version": f"Bear v{len(study.trials) + 6}", "seconds": 20.0} | attributes,
        intermediate_values=reports,
    )
    trial.datetime_start = datetime.fromtimestamp(began)
    study.add_trial(trial)
    return study.trials[-1]


def a_board(study, total=12, capacity=1, width=200) -> tuple[Board, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=width)
    return Board(study, total, capacity, "study bear in outputs", console), out


def test_it_opens_with_what_is_searched_and_how_far_it_is(study):
    add(study, 0.5)
    board, out = a_board(study, capacity=2)
    with board:
        pass
    assert out.getvalue().splitlines() == [
        "study bear in outputs: 12 trials, 1 finished already, 2 at a time",
        "  optimizer.lr  tag(log, interval(1e-5, 1e-3))",
        "  network.rank  range(4, 36, 4)",
    ]


def test_a_line_per_trial_that_ends(study):
    board, out = a_board(study)
    with board:
        board.finished(add(study, 0.7812))
        board.finished(add(study, 0.8))
        board.finished(add(study, 0.7))
        board.finished(add(study, state=TrialState.PRUNED, reason="worse than\nthe median", seconds=4.0))
        board.finished(add(study, state=TrialState.FAIL, reason="the loss is NaN at step 7", seconds=1.0))
    lines = out.getvalue().splitlines()[3:]
    assert lines == [
        "trial 0 (Bear v6): complete 0.7812 (best), lr 3.1e-4, rank 8, 20 s; 1/12 done, about 4 min left",
        "trial 1 (Bear v7): complete 0.8000, lr 3.1e-4, rank 8, 20 s; 2/12 done, about 3 min left",
        "trial 2 (Bear v8): complete 0.7000 (best), lr 3.1e-4, rank 8, 20 s; 3/12 done, about 3 min left",
        "trial 3 (Bear v9): pruned, worse than the median, lr 3.1e-4, rank 8, 4.0 s; 4/12 done, about 2 min left",
        "trial 4 (Bear v10): failed, the loss is NaN at step 7, lr 3.1e-4, rank 8, 1.0 s; 5/12 done, about 2 min left",
    ]


def test_the_best_of_a_resumed_study_and_of_a_maximised_one():
    study = optuna.create_study(direction="maximize")
    add(study, 0.6)
    board, out = a_board(study, total=3)
    with board:
        board.finished(add(study, 0.5))
        board.finished(add(study, 0.9))
    first, second = out.getvalue().splitlines()[-2:]
    assert "(best)" not in first and "complete 0.9000 (best)" in second and second.endswith("20 s; 3/3 done")


def test_an_infeasible_trial_is_not_the_best(study):
    add(study, 0.5)
    study.add_trial(create_trial(value=0.1, constraints={"seconds <= 60": 2.0}))
    assert standing(study).best.number == 0
    board, out = a_board(study)
    board.finished(study.trials[1])
    assert "complete 0.1000, breaks the constraint seconds <= 60 by 2, " in out.getvalue()


def test_a_lost_trial_does_not_count_and_says_who_goes_on(study):
    lost = add(study, state=TrialState.FAIL, reason="its lane died")
    add(study, state=TrialState.WAITING, retry_of=0)
    board, out = a_board(study)
    board.finished(lost)
    assert "failed, its lane died; goes on as trial 1, lr" in out.getvalue() and "; 0/12 done" in out.getvalue()


def test_several_objectives_and_an_open_end():
    study = optuna.create_study(directions=["minimize", "maximize"])
    for values in ([0.5, 1.0], [0.4, 0.5], [0.6, 0.6]):
        study.add_trial(create_trial(values=values))
    board, out = a_board(study, total=None)
    with board:
        board.finished(study.trials[1])
    first, second = out.getvalue().splitlines()
    assert first == "study bear in outputs: until the time is over, 3 finished already"
    assert second.startswith("trial 1: complete 0.4000, 0.5000, ") and second.endswith("3 done")
    assert standing(study).front == 2 and standing(study).best is None


def test_finals_say_what_they_repeat_and_have_no_best():
    finals = optuna.create_study(study_name="bear:finals")
    board, out = a_board(finals, total=1)
    board.finished(add(finals, 0.5, stage="fold", index=2, of=7))
    line = out.getvalue().strip()
    assert line == "trial 0 (Bear v6), fold 2 of trial 7: complete 0.5000, lr 3.1e-4, rank 8, 20 s; 1/1 done"


@pytest.mark.parametrize(
    ("taken", "running", "waiting", "capacity", "left"),
    [
        ([], [], 5, 1, None),
        ([20.0, 20.0], [], 3, 1, 60.0),
        ([2.0, 2.0, 2.0, 22.0], [], 4, 1, 28.0),  # the mean: the median would say 8
        ([20.0], [5.0], 2, 1, 55.0),
        ([20.0], [5.0, 15.0], 2, 2, 30.0),
        ([20.0], [90.0], 0, 1, 0.0),  # late already
        ([20.0], [0.0], 0, 4, 20.0),  # three of four lanes are idle: they do not make it faster
    ],
)
def test_time_left(taken, running, waiting, capacity, left):
    assert seconds_left(taken, running, waiting, capacity) == left


def rendered(board, width=100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True)
    console.print(board)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_table_shows_the_best_and_what_runs(study):
    add(study, 0.5127)
    add(study, state=TrialState.RUNNING, reports={20: 0.81, 40: 0.7})
    add(study, state=TrialState.RUNNING, began=NOON + 5, version=None)
    board, _ = a_board(study, capacity=2)
    assert rendered(board) == [
        "1/12 done, about 2 min left  study bear in outputs",
        "best  0.5127  trial 0 (Bear v6)  lr 3.1e-4, rank 8",
        "trial 1 (Bear v7)  7.0 s  0.7000 at step 40  lr 3.1e-4, rank 8",
        "trial 2            2.0 s                     lr 3.1e-4, rank 8",
    ]


@pytest.mark.parametrize("width", [20, 40, 60])
def test_the_table_keeps_to_a_narrow_terminal(study, width):
    add(study, 0.5127)
    add(study, state=TrialState.RUNNING, reports={20: 0.81})
    board, _ = a_board(study)
    lines = rendered(board, width)
    assert len(lines) == 3 and all(len(line) <= width for line in lines)


def screen(written: str) -> list[str]:
    """Return what a terminal shows after all of `written`: text, line ends, cursor up, and erased lines."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written):
        if part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b"):
            row -= int(part[2:-1] or 1) if part.endswith("A") else 0
            lines[row] = "" if part.endswith("K") else lines[row]
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines if line.strip()]


def test_a_terminal_sees_trials_that_other_processes_run(study):
    out = Terminal()
    board = Board(study, 12, 1, "study bear", Console(file=out, width=100, force_terminal=True, color_system=None))
    with board:
        add(study, state=TrialState.RUNNING, reports={40: 0.7}, began=time.time())
        until = time.monotonic() + 60
        while "0.7000 at step 40" not in out.getvalue() and time.monotonic() < until:
            time.sleep(0.05)
        board.print_line("[bold]a line[/bold] between")
        board.finished(add(study, 0.5))
    assert "0.7000 at step 40" in out.getvalue()
    # The table is taken away at the end; the lines stay, whole and in order.
    assert screen(out.getvalue()) == [
        "study bear: 12 trials",
        "  optimizer.lr  tag(log, interval(1e-5, 1e-3))",
        "  network.rank  range(4, 36, 4)",
        "[bold]a line[/bold] between",
        "trial 1 (Bear v7): complete 0.5000 (best), lr 3.1e-4, rank 8, 20 s; 1/12 done, about 4 min left",
    ]


def test_a_storage_that_does_not_answer_stops_neither_table_nor_search(study, monkeypatch):
    out = Terminal()
    board = Board(study, 12, 1, "study bear", Console(file=out, width=100, force_terminal=True))
    asked = []

    def busy(*args, **options):
        asked.append(1)
        raise RuntimeError("database is locked")

    with board:
        monkeypatch.setattr(study, "get_trials", busy)
        until = time.monotonic() + 60
        while len(asked) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        assert board._thread is not None and board._thread.is_alive()
    assert len(asked) >= 2


def test_it_is_seen_while_the_app_is_silent(study, capsys, monkeypatch):
    monkeypatch.setattr(rich.get_console(), "quiet", True)
    with Board(study, 3, 1, "study bear") as board:
        monkeypatch.setattr("sys.stdout", io.StringIO())
        board.print_line("still here")
    assert capsys.readouterr().out.splitlines()[-1] == "still here"


def test_an_encoding_without_arrows_and_umlauts_is_no_reason_to_stop(study):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    board = Board(study, 3, 1, "Bär", Console(file=out, width=100))
    with board:
        board.print_line("a → b")
    out.flush()
    text = out.buffer.getvalue().decode()
    assert "B?r: 3 trials" in text and "a ? b" in text
