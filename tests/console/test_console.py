"""Lines, bars and the closing table, read back from pipes and from something that claims to be a terminal."""

import io
import logging
import re
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from lorasweep.console.closing import closing_table
from lorasweep.console.lines import Progress, echo, echo_pairs, phase, silenced
from lorasweep.console.log import open_log
from lorasweep.runs.record import Record
from lorasweep.text.durations import clock_time, duration

LONG = "outputs/" + "a_folder_with_a_long_name/" * 6 + "FuzzyBear_v6.safetensors"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def pipe(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width)


def terminal(width: int = 80, **options: object) -> Console:
    return Console(file=Terminal(), width=width, force_terminal=True, **options)  # type: ignore[arg-type]


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def record(**changes: object) -> Record:
    def entry(epoch: int, ratio: float, clip: float) -> dict[str, object]:
        return {"epoch": epoch, "metrics": {"val/loss_ratio": ratio, "image/fidelity": clip, "train/loss": None}}

    values = {
        "name": "FuzzyBear",
        "version": 6,
        "status": "complete",
        "reason": None,
        "selected_epoch": 8,
        "epochs": [entry(4, 0.9, 0.65), entry(8, 0.4321, 0.75), entry(10, 1.2, 0.5)],
        "metrics": {"base": {"image/fidelity": 0.6}},
        "seconds": {"total": 161.0, "load": 0.1, "train": 140.0, "sample": 20.4},
    } | changes
    return Record.parse(values, folder=Path("v6"))


@pytest.mark.parametrize(
    ("bins", "said"),
    [
        ((0.61, 0.7, 0.83, 0.992), "0.61, 0.70, 0.83, 0.99 of the base's loss: composition hardly changed"),
        ((1.01, 0.99), "1.01, 0.99 of the base's loss: fine detail and composition hardly changed"),
        ((0.5, 0.6), "0.50, 0.60 of the base's loss\n"),
        ((0.5,), ""),
        ((), ""),
    ],
)
def test_the_loss_by_noise_is_told_in_words(bins: tuple[float, ...], said: str) -> None:
    values = record()
    values.epochs[1].metrics |= {f"val/loss_ratio_bin_{index}": value for index, value in enumerate(bins)}
    console = pipe(width=150)
    closing_table(values, {}, {}, console=console)
    printed = text_of(console)
    if said:
        assert f"  by noise, from little (fine detail) to much (composition): {said}" in printed
    else:
        assert "by noise" not in printed


def test_a_line_is_neither_wrapped_nor_interpreted():
    console = pipe(width=30)
    echo(f"[bold]{LONG}[/bold] :smile:", console=console)
    assert text_of(console) == f"[bold]{LONG}[/bold] :smile:\n"


def test_characters_that_the_encoding_lacks_do_not_stop_the_training():
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="latin-1", write_through=True), width=100)
    echo("sks bear – ねこ é", console=console)
    closing_table(record(), {}, {}, console=console)
    printed = raw.getvalue().decode("latin-1")
    assert "sks bear ? ?? é" in printed
    assert "0.4321 better" in printed


def test_pairs_are_aligned():
    console = pipe()
    echo_pairs("plan", {"steps": "3600", "device": "cpu"}, console=console)
    assert text_of(console) == "plan\n  steps   3600\n  device  cpu\n"


def test_a_pipe_gets_one_line_per_epoch_and_no_control_codes():
    console, clock = pipe(), Clock()
    progress = Progress("FuzzyBear v6", 6, epochs=2, console=console, clock=clock)
    for step in range(1, 7):
        clock.now += 2.0
        progress.step(step, 0.1, 1e-4)
        if step % 3 == 0:
            clock.now += 6.0  # sampling
            progress.epoch(step // 3, {"train/loss": 0.1, "val/loss_ratio": 0.5, "val/loss": None})
    progress.close()
    # 3 steps of 2 s and 6 s of sampling: 12 s for 3 steps, so 12 s for the other 3; a step still takes 2 s.
    assert text_of(console).splitlines() == [
        "FuzzyBear v6: epoch 1/2, step 3/6, held-out loss / base 0.5, training loss 0.1, 2 s/step, 0:12 left",
        "FuzzyBear v6: epoch 2/2, step 6/6, held-out loss / base 0.5, training loss 0.1, 2 s/step, 0:00 left",
    ]


def test_measuring_and_sampling_is_no_part_of_a_step_even_where_every_step_is_an_epoch():
    console, clock = pipe(), Clock()
    progress = Progress("FuzzyBear v6", 4, console=console, clock=clock)
    for step in range(1, 4):
        clock.now += 2.0
        progress.step(step, 0.1, 1e-4)
        clock.now += 6.0
        progress.epoch(step, {})
    assert text_of(console).splitlines()[-1] == "FuzzyBear v6: epoch 3, step 3/4, 2 s/step, 0:08 left"


def test_without_a_bar_speed_and_time_left_are_said_before_the_first_epoch_ends() -> None:
    console, clock = pipe(), Clock()
    progress = Progress("FuzzyBear v6", 4000, epochs=20, console=console, clock=clock)
    clock.now += 90.0  # measuring and drawing the base
    progress.begin()
    for step in range(1, 152):
        clock.now += 2.0
        progress.step(step, 0.1, 1e-4)
    # After ten steps, (4000 - 10) x 2 s; then five minutes later, (4000 - 160) x 2 s is not there yet.
    assert text_of(console) == "FuzzyBear v6: step 10/4000, 2 s/step, 2:13:00 left\n"
    for step in range(152, 170):
        clock.now += 2.0
        progress.step(step, 0.1, 1e-4)
    assert text_of(console).splitlines()[1:] == ["FuzzyBear v6: step 160/4000, 2 s/step, 2:08:00 left"]
    progress.epoch(1, {})
    clock.now += 2.0
    progress.step(170, 0.1, 1e-4)
    assert len(text_of(console).splitlines()) == 3, "an epoch has said it"


def test_a_resumed_training_counts_its_own_steps_only_for_the_time_left():
    console, clock = pipe(), Clock()
    progress = Progress("FuzzyBear v6", 1000, 900, console=console, clock=clock)
    for step in range(901, 911):
        clock.now += 1.0
        progress.step(step, 0.1, 1e-4)
    progress.epoch(9, {})
    assert text_of(console).splitlines()[-1] == "FuzzyBear v6: epoch 9, step 910/1000, 1 s/step, 1:30 left"


@pytest.mark.parametrize("width", [30, 60, 120])
def test_the_bar_fits_its_terminal_and_shows_more_where_there_is_room(width):
    console, clock = terminal(width, no_color=True), Clock()
    progress = Progress("FuzzyBear v6", 4000, epochs=30, console=console, clock=clock)
    clock.now = 0.5
    progress.step(1, 0.25, 1e-4)
    progress.close()
    rows = [re.sub(r"\x1b\[[?0-9]*[a-zA-Z]|\r", "", row) for row in text_of(console).splitlines()]
    rows = [row for row in rows if row.startswith("FuzzyBear v6 ")]
    assert rows and all(len(row) <= width and "1/4000" in row for row in rows)
    for note, least in (("loss 0.2500", 60), ("33:20 left", 60), ("0.5 s/step", 120), ("epoch 1/30  lr 0.0001", 120)):
        assert all((note in row) == (width >= least) for row in rows), note


def test_force_color_does_not_make_a_file_a_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    console = pipe()
    progress = Progress("FuzzyBear v6", 10, console=console)
    progress.step(1, 0.1, 1e-4)
    progress.close()
    assert text_of(console) == ""


def test_a_phase_leaves_one_line():
    console, clock = pipe(), Clock()
    with phase("caching latents", 3, console=console, clock=clock) as advance:
        for _ in range(3):
            clock.now += 4.0
            advance()
    with phase("sampling", 2, quiet=True, console=console) as advance:
        advance()
    assert text_of(console) == "caching latents: 3 in 12 s\n"


def test_on_a_terminal_lines_stand_above_the_bar_and_the_bar_goes_away():
    console = terminal(no_color=True)
    progress = Progress("FuzzyBear v6", 2, console=console)
    progress.step(1, 0.1, 1e-4)
    with phase("sampling", 4, quiet=True, console=console):
        time.sleep(0.6)  # bars are redrawn four times a second
    echo("a line", console=console)
    progress.close()
    progress.close()
    printed = text_of(console)
    assert "1/2" in printed and "0/4" in printed and "a line\n" in printed
    below = printed.split("a line\n")[1]
    assert "1/2" in below and below.endswith("\x1b[2K"), "the bar is drawn again below the line, then erased"


def test_the_closing_table_compares_with_the_base():
    console = pipe(100)
    closing_table(record(), {}, {}, console=console)
    rows = [" ".join(line.split()) for line in text_of(console).splitlines()]
    assert "held-out loss / base 1.0000 0.4321 ↓ better 1.2000 ↑ worse" in rows
    assert "fidelity 0.6000 0.7500 ↑ better 0.5000 ↓ worse" in rows
    assert "training loss" not in text_of(console)
    assert "epoch 8 (selected)  epoch 10 (last)" in text_of(console)
    assert "2 min 41 s (train 2 min 20 s, sample 20 s)" in text_of(console)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_what_reads_the_same_is_called_the_same_and_every_measure_says_what_it_is(width):
    console = pipe(width)
    values = record(epochs=[{"epoch": 8, "metrics": {"image/adherence": 0.22904, "val/loss_ratio": 0.4321}}])
    values.metrics.base = {"image/adherence": 0.22901}
    closing_table(values, {}, {}, console=console)
    rows = [" ".join(line.split()) for line in text_of(console).splitlines()]
    assert any("0.2290 same" in row for row in rows) and any("0.4321 ↓ better" in row for row in rows)
    for meaning in ("the trigger left out", "the base's being 1", "single trainings that differ in their seed only"):
        assert sum(meaning in row for row in rows) == 1, meaning
    beside = [row for row in rows if "0.2290 same" in row and "the trigger left out" in row]
    assert len(beside) == (width == 200), "beside the values where there is room, else below"


def test_no_difference_inside_its_interval_is_called_better_and_the_largest_are_in_the_table():
    console = pipe(200)
    names = ("fidelity", "adherence", "diversity", "drift", "consistency")
    found = {f"image/{name}": 0.5 for name in names}
    for place, name in enumerate(names):  # each further from the base, in its own uncertainty, than the one before
        found |= {f"image/{name}_delta_low": 0.1 * place - 0.2, f"image/{name}_delta_high": 0.1 * place + 0.1}
    values = record(epochs=[{"epoch": 8, "metrics": found}])
    values.metrics.base = {f"image/{name}": 0.1 for name in names}
    closing_table(values, {}, {}, console=console)
    rows = [" ".join(line.split()) for line in text_of(console).splitlines()]
    assert any(row.startswith("diversity 0.1000 0.5000 same [+0.000, +0.300]") for row in rows), rows
    assert any(row.startswith("consistency 0.1000 0.5000 ") and "same" not in row.split("[")[0] for row in rows)
    assert "less different from the base: fidelity, adherence" in rows


def test_the_selected_epoch_may_be_the_last():
    console = pipe(100)
    closing_table(record(selected_epoch=10), {}, {}, console=console)
    assert "epoch 10 (selected)" in text_of(console) and "(last)" not in text_of(console)


def test_a_version_that_measured_nothing_still_closes():
    console = pipe(100)
    values = record(status="failed", reason="the loss is nan at step 7", epochs=[], metrics={}, selected_epoch=None)
    closing_table(values, {}, {}, console=console)
    assert "FuzzyBear v6  failed\n  the loss is nan at step 7\n" in text_of(console)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_paths_and_commands_survive_narrow_terminals(tmp_path, width, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(LONG)
    path.parent.mkdir(parents=True)
    path.touch()
    for console in (pipe(width), terminal(width)):
        command = f"cp {LONG} ComfyUI/models/loras/"
        closing_table(
            record(), {"weights": path, "curves": path.with_name("no.png")}, {"try it": command}, console=console
        )
        plain = text_of(console).replace("\x1b[2m", "").replace("\x1b[0m", "")
        assert f"  weights  {LONG}\n" in plain
        assert f"  try it  {command}\n" in plain
        assert "no.png" not in plain and "…" not in plain
        assert "0.4321 ↓ better" in plain.replace("\x1b[32m", "")


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = terminal()
    closing_table(record(), {}, {}, console=console)
    assert "\x1b[32m" not in text_of(console)
    monkeypatch.delenv("NO_COLOR")
    console = terminal(color_system="standard")
    closing_table(record(), {}, {}, console=console)
    assert "\x1b[32m ↓ better" in text_of(console)


def test_each_version_has_its_own_log_without_duplicates(tmp_path, capsys):
    root, stream = logging.getLogger(), io.StringIO()
    hydra = logging.StreamHandler(stream)
    root.addHandler(hydra)
    try:
        for name in ("a", "b"):
            with open_log(tmp_path / f"{name}.log"):
                echo(f"hello {name}")
                logging.getLogger("lorasweep.data").warning("from below")
            echo("to nobody")
        with open_log(tmp_path / "a.log"):
            echo("resumed")
    finally:
        root.removeHandler(hydra)
    lines = [line[21:] for line in (tmp_path / "a.log").read_text().splitlines()]
    assert lines == ["hello a", "from below", "resumed"]
    assert [line[21:] for line in (tmp_path / "b.log").read_text().splitlines()] == ["hello b", "from below"]
    assert capsys.readouterr().out == "hello a\nto nobody\nhello b\nto nobody\nresumed\n"
    assert stream.getvalue() == ""
    assert logging.getLogger("lorasweep").handlers == [] and logging.getLogger("lorasweep").propagate


def test_a_full_disk_does_not_fill_the_terminal_with_log_errors(capfd):
    with open_log(Path("/dev/full")):
        echo("the training goes on")
    captured = capfd.readouterr()
    assert captured.out == "the training goes on\n" and captured.err == ""


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [(0.44, "0.4 s", "0:00"), (59.4, "59 s", "0:59"), (161, "2 min 41 s", "2:41"), (11100, "3 h 05 min", "3:05:00")],
)
def test_durations(seconds, long, short):
    assert duration(seconds) == long
    assert clock_time(seconds) == short


def speak(console: Console | None = None) -> None:
    """Use everything that writes."""
    echo("a line", console=console)
    echo_pairs("pairs", {"name": "value"}, console=console)
    progress = Progress("FuzzyBear v6", 2, console=console)
    progress.step(1, 0.1, 1e-4)
    progress.epoch(1, {})
    progress.close()
    with phase("caching", 1, console=console) as advance:
        advance()
    closing_table(record(), {}, {"next": "a command"}, console=console)


@pytest.mark.parametrize("make", [pipe, terminal])
def test_silenced_nothing_reaches_the_terminal_and_the_log_has_it_all(tmp_path, monkeypatch, make):
    console = make()
    monkeypatch.setattr("rich.get_console", lambda: console)
    with open_log(tmp_path / "train.log"), silenced():
        with silenced():
            speak()
        speak()
    assert text_of(console) == ""
    logged = (tmp_path / "train.log").read_text()
    for part in ("a line", "pairs", "epoch 1,", "caching: 1 in", "complete", "a command"):
        assert logged.count(part) == 2, part
    speak()
    assert "a line" in text_of(console) and "a command" in text_of(console)


def test_silenced_is_over_after_an_error_and_spares_named_consoles_and_other_threads(monkeypatch):
    console, named = pipe(), pipe()
    monkeypatch.setattr("rich.get_console", lambda: console)
    with pytest.raises(RuntimeError), silenced():
        echo("named", console=named)
        thread = threading.Thread(target=echo, args=("from another thread",))
        thread.start()
        thread.join()
        raise RuntimeError
    echo("afterwards")
    assert text_of(named) == "named\n"
    assert text_of(console) == "from another thread\nafterwards\n"
