"""What made-up figures are said to mean, and that every command and key of the advice is one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lorasweep.commands import cli
from lorasweep.compose.composition import load_config
from lorasweep.evaluation.asking import EvaluationOptions
from lorasweep.evaluation.candidates import Candidate
from lorasweep.evaluation.trigger.advice import TriggerFinding, trigger_findings
from lorasweep.evaluation.trigger.analysis import TriggerResult
from lorasweep.evaluation.trigger.asking import TriggerQuestion
from lorasweep.evaluation.trigger.report import advice_lines, note_lines, table_lines, ways_of
from lorasweep.runs.record import Record
from lorasweep.runs.trigger_record import Interval, TriggerAnalysis, TriggerFigure
from lorasweep.schema import Config, schema_keys

CLEAR = {"start": 0.4, "absent": 0.0, "middle": 0.4, "end": 0.4, "misspelt": 0.4, "words": 0.4, "class": 0.0}


def figure(position: str, delta: float, strength: float = 1.0, start: float = 0.4) -> TriggerFigure:
    """A figure whose intervals reach 0.05 to either side."""
    behind, share = start - delta, delta / start
    return TriggerFigure(
        position=position,
        strength=strength,
        delta=Interval(value=delta, low=delta - 0.05, high=delta + 0.05),
        behind=Interval(value=behind, low=behind - 0.05, high=behind + 0.05),
        share=Interval(value=share, low=share - 0.1, high=share + 0.1),
    )


def analysis(changes: Mapping[str, float], *more: TriggerFigure, prompts: int = 3, seeds: int = 4) -> TriggerAnalysis:
    deltas = CLEAR | dict(changes)
    return TriggerAnalysis(
        settings={"trigger": "sage_bear", "class_word": "", "references": "held-out", "features": "toy"},
        prompts=prompts,
        seeds=seeds,
        captions=8,
        called=8,
        figures=[*(figure(position, delta, start=deltas["start"] or 1) for position, delta in deltas.items()), *more],
    )


def findings_of(found: TriggerAnalysis, tmp_path: Path, *more: str, record: bool = True) -> list[TriggerFinding]:
    config = Config(name="Sage", output_root=str(tmp_path))
    line = ["lora=fuzzybear", "preset=demo", "loss=min_snr", *more]
    if more:
        config = replace(load_config(line), output_root=str(tmp_path))
    version = Record(folder=tmp_path / "sage/v6", name="FuzzyBear", version=6, recipe="fuzzybear", overrides=line)
    candidate = Candidate(
        "v6" if record else "a b.safetensors", Path("a b.safetensors"), None, version if record else None
    )
    result = trigger_findings(
        found, ways_of(TriggerResult(candidate, TriggerQuestion(config, "", [], {}), found, anew=True))
    )
    for finding in result:
        assert set(finding.keys) <= schema_keys().keys()
    return result


CASES: list[tuple[dict[str, float], list[str]]] = [
    ({}, ["works"]),
    ({"start": 0.03, "absent": 0.0}, ["weak"]),
    ({"start": 0.08, "absent": 0.04, "middle": 0.0, "misspelt": 0.0}, ["weak"]),
    ({"absent": 0.36}, ["leaks"]),
    ({"absent": 0.36, "class": 0.4}, ["leaks"]),
    ({"absent": 0.1}, ["leaks in part"]),
    ({"class": 0.2}, ["works", "class"]),
    ({"end": 0.2}, ["works", "position"]),
    ({"middle": 0.3, "end": 0.36, "words": 0.1}, ["works", "position", "spelling"]),
    ({"middle": 0.36, "end": 0.45, "misspelt": 0.36}, ["works"]),
]


@pytest.mark.usefixtures("composed_configs", "elsewhere")
@pytest.mark.parametrize(("changes", "verdicts"), CASES)
def test_what_figures_mean(changes: dict[str, float], verdicts: list[str], tmp_path: Path) -> None:
    found = findings_of(analysis(changes), tmp_path)
    assert [finding.verdict for finding in found] == verdicts
    assert all(finding.commands for finding in found if finding.verdict not in ("works", "spelling"))
    for command in (command for finding in found for command in finding.commands):
        hold(command)


def hold(command: str) -> None:
    """Hold a command that is printed to what it calls."""
    match shlex.split(command):
        case ["python", "train.py", *line] if not any(text.startswith("resume=") for text in line):
            load_config(line)
        case ["python", "train.py", *line]:
            load_config([text for text in line if not text.startswith("resume=")])
        case ["lorasweep", *line]:
            cli._parser().parse_args(line)
        case _:
            raise AssertionError(command)


@pytest.mark.usefixtures("composed_configs", "elsewhere")
def test_captions_without_the_trigger_come_first(tmp_path: Path) -> None:
    found = analysis({})
    found.called = 3
    first, second = findings_of(found, tmp_path)
    assert first.words.startswith("the trigger is missing in 5 of the 8 captions") and second.verdict == "works"
    line = shlex.split(first.commands[0])[2:]
    assert load_config(line).dataset.caption_prefix == "{trigger}, "


@pytest.mark.usefixtures("composed_configs", "elsewhere")
def test_what_it_was_trained_with_is_not_advised_again(tmp_path: Path) -> None:
    kept = ["loss=preservation", "loss.preservation_class=humanoid"]
    first, second = findings_of(analysis({"absent": 0.1, "end": 0.2}), tmp_path, *kept)
    assert list(first.keys) == ["loss.preservation_weight"] and "preservation_weight=2" in first.commands[0]
    assert list(second.keys) == ["dataset.shuffle_tags"]
    shuffled = ["dataset.shuffle_tags=true", "dataset.keep_tokens=2"]
    first, second = findings_of(analysis({"absent": 0.1, "end": 0.2}), tmp_path, *shuffled)
    assert list(first.keys) == ["loss.preservation_class"] and "preservation_class=person" in first.commands[0]
    assert list(second.keys) == ["dataset.keep_tokens"] and "dataset.keep_tokens=0" in second.commands[0]
    _, second = findings_of(analysis({"end": 0.2}), tmp_path, shuffled[0])
    assert not second.keys and not second.commands and "shuffle" not in second.words


def test_why_it_is_weak(tmp_path: Path) -> None:
    [nothing] = findings_of(analysis({"start": 0.03}), tmp_path)
    assert "no nearer to the theme than the base's" in nothing.words and len(nothing.commands) == 1
    [unsure] = findings_of(analysis({"start": 0.08, "absent": 0.04}), tmp_path)
    assert "none beyond the interval" in unsure.words and "--seeds 0-15" in unsure.commands[0]


@pytest.mark.parametrize(("prompts", "seeds"), [(1, 9), (5, 3)])
def test_too_few_pictures_say_nothing(prompts: int, seeds: int, tmp_path: Path) -> None:
    [finding] = findings_of(analysis({}, prompts=prompts, seeds=seeds), tmp_path)
    assert finding.verdict == "inconclusive" and ("--prompts-file" in finding.commands[0]) == (prompts == 1)
    hold(finding.commands[0])


def test_the_strength_at_which_nothing_leaks_is_named(tmp_path: Path) -> None:
    lower = [
        figure("start", 0.3, 0.7),
        figure("absent", 0.04, 0.7),
        figure("start", 0.2, 0.4),
        figure("absent", 0.0, 0.4),
    ]
    [finding] = findings_of(analysis({"absent": 0.2}, *lower), tmp_path)
    assert "at strength 0.7 it only comes when it is called" in finding.words
    assert finding.commands[0].endswith("--strengths 0.7")
    hold(finding.commands[0])


def test_of_a_file_from_elsewhere_the_recipe_is_the_way(tmp_path: Path) -> None:
    [finding] = findings_of(analysis({"absent": 0.4}), tmp_path, record=False)
    assert list(finding.commands) == ["lorasweep recipe 'a b.safetensors'"]


def test_the_table_shows_differences_to_the_base_first_and_what_the_intervals_are() -> None:
    found = analysis({"absent": 0.1}, figure("start", 0.2, 0.5), prompts=2)
    lines = [line.plain for line in table_lines(found)]
    assert lines[0].split() == ["strength", "0.5", "strength", "1"]
    start = "+0.2000 [+0.1500, +0.2500]    50%  +0.4000 [+0.3500, +0.4500]   100%"
    assert lines[1].strip().removeprefix("at the start").strip() == start
    assert next(line for line in lines if "absent" in line).endswith("+0.1000 [+0.0500, +0.1500]    25%")
    found.settings["references"] = "training"
    notes = " ".join(note_lines(found))
    assert "another seed of the training" in notes and "these were trained on" in notes and "too narrow" in notes
    said = list(advice_lines([TriggerFinding("weak", "so it is", ["training.max_steps"], ["a command"])]))
    assert said == ["weak: so it is", "  to change: training.max_steps", "  a command"]


def test_options_are_those_of_evaluations() -> None:
    args = cli._parser().parse_args(["trigger", "v6", "--seeds", "0-3", "--strengths", "0.4,1"])
    asked = EvaluationOptions.of(args)
    assert (asked.seeds, asked.strengths) == ([0, 1, 2, 3], [0.4, 1.0])
