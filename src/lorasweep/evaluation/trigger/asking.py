"""What a trigger analysis draws: which trigger, and the prompts with it at every position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lorasweep.data.captions import has_trigger
from lorasweep.errors import UserError
from lorasweep.evaluation.asking import EvaluationOptions
from lorasweep.evaluation.candidates import Candidate
from lorasweep.evaluation.cell_keys import Request
from lorasweep.evaluation.trigger.positions import ABSENT, MIDDLE, START, Template
from lorasweep.export.weights import read_weights
from lorasweep.schema import Config
from lorasweep.text.shell import shell_quoted

TITLE = "There is no trigger to look at"
SEEDS = 4
"""Of each prompt, unless more are asked for: with fewer the intervals come out far too narrow."""


@dataclass(frozen=True)
class TriggerQuestion:
    """What is drawn.

    Attributes:
        config: under which; its trigger is the one that is looked at.
        class_word: what the trigger is a case of; "" where nobody said.
        rows: of each request of a position, the index of its prompt.
        requests: by position; each has the same prompts and seeds in the same order.
    """

    config: Config
    class_word: str
    rows: Sequence[int]
    requests: dict[str, list[Request]]

    @property
    def prompts(self) -> int:
        """How many prompts there are."""
        return max(self.rows) + 1

    @property
    def seeds(self) -> int:
        """How many seeds each prompt has, at least."""
        return min(self.rows.count(row) for row in set(self.rows))

    def template(self, index: int) -> str:
        """Return a prompt without the trigger; the trigger where there is nothing else.

        Args:
            index: of the prompt.
        """
        position = ABSENT if ABSENT in self.requests else START
        return self.requests[position][list(self.rows).index(index)].prompt.text

    def plain(self) -> dict[str, Any]:
        """Return it as records keep it."""
        return {
            "trigger": self.config.dataset.trigger,
            "class_word": self.class_word,
            "rows": list(self.rows),
            "requests": {position: [asdict(each) for each in found] for position, found in self.requests.items()},
        }


def trigger_question(
    candidate: Candidate, asked: EvaluationOptions, trigger: str = "", class_word: str = ""
) -> TriggerQuestion:
    """Return what is drawn of a candidate.

    Only prompts that name the trigger are drawn; where none does, all are, with the trigger put in. A position whose
    prompts are those of another one is left out.

    Args:
        candidate: whose trigger it is.
        asked: how it is looked at.
        trigger: in place of the version's own; "": that, or the one in the file's metadata.
        class_word: what it is a case of; "": `loss.preservation_class` of the version, if it has one.

    Raises:
        UserError: nobody says what the trigger is, or there is nothing to draw.
    """
    config = asked.config(candidate)
    trigger = trigger.strip() or config.dataset.trigger or _trigger_in(candidate)
    if not trigger:
        which = shell_quoted(candidate.text)
        raise UserError(
            f"{candidate.label} was trained without one that is known; give it: "
            f"lorasweep trigger {which} --trigger WORD",
            title=TITLE,
        )
    seeds = config.sampling.seeds if asked.seeds is not None else enough(config.sampling.seeds)
    sampling = replace(config.sampling, seeds=seeds)
    config = replace(config, dataset=replace(config.dataset, trigger=trigger), sampling=sampling)
    class_word = class_word.strip() or config.loss.preservation_class
    found = asked.requests(config)
    called = [each for each in found if has_trigger(each.prompt.text, trigger)] or found
    texts = list(dict.fromkeys(each.prompt.text for each in called))
    return TriggerQuestion(
        config,
        class_word,
        [texts.index(each.prompt.text) for each in called],
        requests_by_position(called, trigger, class_word),
    )


def requests_by_position(called: Sequence[Request], trigger: str, class_word: str) -> dict[str, list[Request]]:
    """Return the requests of each position."""
    found: dict[str, list[Request]] = {}
    for request in called:
        for position, text in Template.of(request.prompt.text, trigger).texts(trigger, class_word).items():
            prompt = replace(request.prompt, text=text, triggered=has_trigger(text, trigger))
            found.setdefault(position, []).append(replace(request, prompt=prompt))
    distinct: dict[str, str] = {}
    for position in sorted(
        found, key=lambda position: position == MIDDLE
    ):  # of a single word only the ends are told apart
        distinct.setdefault(repr(found[position]), position)
    return {position: requests for position, requests in found.items() if position in distinct.values()}


def enough(seeds: Sequence[int]) -> list[int]:
    """Return at least `SEEDS` seeds: those that there are, and the next numbers."""
    more = (number for number in range(SEEDS + len(seeds)) if number not in seeds)
    return [*seeds, *(number for number, _ in zip(more, range(SEEDS - len(seeds)), strict=False))]


def _trigger_in(candidate: Candidate) -> str:
    """Return the trigger that a file's metadata names; "" where it names none."""
    assert candidate.file is not None
    return str(read_weights(candidate.file)[1].get("modelspec.trigger_phrase", "")).strip()
