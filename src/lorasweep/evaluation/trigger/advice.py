"""What the figures of a trigger analysis say, in words: each finding with the key to change and the command to type.

A difference is only called one where its whole interval is on one side of 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lorasweep.evaluation.trigger.positions import ABSENT, CLASS, END, MIDDLE, MISSPELT, START, TITLES, WORDS
from lorasweep.runs.trigger_record import TriggerAnalysis, TriggerFigure
from lorasweep.text.values import counted

PROMPTS, SEEDS = 2, 4
"""Fewer tell nothing: of simulated 95% intervals of two prompts and one seed 38% to 50% held the true value."""

Verdict = Literal[
    "works", "weak", "leaks", "leaks in part", "inconclusive", "captions", "class", "position", "spelling"
]


@dataclass(frozen=True)
class TriggerFinding:
    """One thing that the figures say.

    Attributes:
        verdict: in a word or two.
        words: in a sentence, with the figures.
        keys: of the config, to change in the next training; none where nothing is to be changed.
        commands: to type.
    """

    verdict: Verdict
    words: str
    keys: Sequence[str] = ()
    commands: Sequence[str] = ()


@dataclass(frozen=True)
class Ways:
    """The commands that advice is given with.

    Attributes:
        again: returns the command that trains again with some overrides, as a new version.
        longer: the command that trains for longer.
        analyse: returns the command of this analysis with some options.
        use: returns the command that draws with the version at a strength.
        preserving: the overrides that keep the base as it was wherever the trigger is not named.
        shuffled: the overrides that let the trigger stand anywhere in captions; none where it does.
    """

    again: Callable[[Sequence[str]], str]
    longer: str
    analyse: Callable[[str], str]
    use: Callable[[float], str]
    preserving: Sequence[str]
    shuffled: Sequence[str]


def trigger_findings(analysis: TriggerAnalysis, ways: Ways) -> list[TriggerFinding]:
    """Return what an analysis says, what matters most first.

    Args:
        analysis: at least with the trigger at the start at strength 1.
        ways: the commands to print.
    """
    found = [*_captions(analysis, ways)]
    if analysis.prompts < PROMPTS or analysis.seeds < SEEDS:
        amount = f"{counted(analysis.prompts, 'prompt')} with {counted(analysis.seeds, 'seed')} each"
        words = f"{amount} are too few to say anything; give at least {PROMPTS} prompts and {SEEDS} seeds"
        prompts = " --prompts-file FILE" if analysis.prompts < PROMPTS else ""
        return [*found, TriggerFinding("inconclusive", words, (), [ways.analyse(f"--seeds 0-7{prompts}")])]
    main = _main(analysis, ways)
    found.append(main)
    if main.verdict == "weak":
        return found
    by_class = _class(analysis, ways) if main.verdict != "leaks" else ()
    return [*found, *by_class, *_position(analysis, ways), *_spelling(analysis)]


def _captions(analysis: TriggerAnalysis, ways: Ways) -> Iterator[TriggerFinding]:
    without = analysis.captions - analysis.called
    if without:
        yield TriggerFinding(
            "captions",
            f"the trigger is missing in {without} of the {analysis.captions} captions that are trained on; "
            "what those images show is learnt without it",
            ["dataset.caption_prefix"],
            [ways.again(["dataset.caption_prefix={trigger}, "])],
        )


def _main(analysis: TriggerAnalysis, ways: Ways) -> TriggerFinding:
    """Return whether the trigger works, is weak or leaks."""
    start, absent = _at(analysis, START), analysis.at(ABSENT)
    if not start.delta.above_zero:
        words = f"with the trigger at the start the pictures are no nearer to the theme than the base's: {start.delta}"
        return TriggerFinding("weak", words, ["training.max_steps"], [ways.longer])
    if absent is None:
        words = f"with the trigger the pictures are nearer to the theme than the base's by {start.delta}"
        return TriggerFinding(
            "works", f"{words}; no prompt has more than the trigger, so nothing can be said without it"
        )
    apart = (
        f"the trigger at the start brings {start.delta}, its absence {absent.delta}, a difference of {absent.behind}"
    )
    if absent.behind.above_zero and not absent.delta.above_zero:
        return TriggerFinding("works", f"{apart}; without it the pictures are as near to the theme as the base's")
    if absent.delta.above_zero:
        part, where = absent.behind.above_zero, _quiet(analysis)
        how = f"{share_of(absent)} of the theme comes" if part else "the theme comes just as well"
        lower = f"; at strength {where:g} it only comes when it is called" if where is not None else ""
        if any(text.endswith("_class=person") for text in ways.preserving):
            lower += ". In the command, put the word for what it is a case of in the place of person"
        return TriggerFinding(
            "leaks in part" if part else "leaks",
            f"{apart}: {how} without being called{lower}",
            _keys(ways.preserving),
            [*([ways.use(where)] if where is not None else []), ways.again(ways.preserving)],
        )
    words = f"{apart}, which is none beyond the interval: more seeds may tell; if they do not, train for longer"
    return TriggerFinding("weak", words, ["training.max_steps"], [ways.analyse("--seeds 0-15"), ways.longer])


def _quiet(analysis: TriggerAnalysis) -> float | None:
    """Return the highest strength below 1 at which the theme comes when it is called and only then."""
    for strength in reversed([each for each in analysis.strengths if 0 < each < 1]):
        start, absent = analysis.at(START, strength), analysis.at(ABSENT, strength)
        if start and absent and start.delta.above_zero and not absent.delta.above_zero:
            return strength
    return None


def _class(analysis: TriggerAnalysis, ways: Ways) -> Iterator[TriggerFinding]:
    found = analysis.at(CLASS)
    if found is not None and found.delta.above_zero:
        word = analysis.settings.get("class_word")
        words = f"{word!r} in the trigger's place brings {share_of(found)} of the theme ({found.delta})"
        yield TriggerFinding("class", words, _keys(ways.preserving), [ways.again(ways.preserving)])


def _position(analysis: TriggerAnalysis, ways: Ways) -> Iterator[TriggerFinding]:
    behind = [found for position in (MIDDLE, END) if (found := analysis.at(position)) and found.behind.above_zero]
    if behind:
        positions = " and ".join(f"{TITLES[each.position]} it brings {share_of(each)}" for each in behind)
        less = ", ".join(str(each.behind) for each in behind)
        elsewhere = ", or shuffle tags in training so that it stands anywhere" if ways.shuffled else ""
        words = (
            f"the position matters: {positions} of what it does at the start (less by {less}). Put it first{elsewhere}"
        )
        commands = [ways.again(ways.shuffled)] if ways.shuffled else []
        yield TriggerFinding("position", words, _keys(ways.shuffled), commands)


def _spelling(analysis: TriggerAnalysis) -> Iterator[TriggerFinding]:
    behind = [found for position in (MISSPELT, WORDS) if (found := analysis.at(position)) and found.behind.above_zero]
    if behind:
        written = " and ".join(f"{TITLES[each.position]} it brings {share_of(each)}" for each in behind)
        less = ", ".join(str(each.behind) for each in behind)
        trigger = analysis.settings.get("trigger")
        words = f"the spelling matters: {written} of the theme (less by {less}). Write it exactly: {trigger}"
        yield TriggerFinding("spelling", words, ["sampling.prompts"])


def _keys(overrides: Sequence[str]) -> list[str]:
    """Return the keys among overrides, without the groups."""
    return [name for text in overrides if "." in (name := text.partition("=")[0])]


def _at(analysis: TriggerAnalysis, position: str) -> TriggerFigure:
    found = analysis.at(position)
    assert found is not None
    return found


def share_of(figure: TriggerFigure) -> str:
    """Return a share as people read it: `62%`; `-` where there is none."""
    return "-" if figure.share is None else f"{figure.share.value:.0%}"
