"""One poll: who is voted on, what was said so far, what is shown now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorasweep.runs.ledger import RecordedVersion
from lorasweep.schema.measures import METRICS
from lorasweep.votes import ballots
from lorasweep.votes.agreement import agreements
from lorasweep.votes.ballots import Choice, Vote
from lorasweep.votes.contenders import Contender, contenders, references, text_of
from lorasweep.votes.questions import Question, next_question
from lorasweep.votes.strengths import leftward, self_agreement, strengths


class Poll:
    """A poll on the versions of a study or of a LoRA.

    Args:
        name: of the study or LoRA.
        path: of its votes.jsonl.
        versions: returns the versions; asked again for every question, so that a running search's come in.

    Attributes:
        name: likewise.
        path: likewise.
    """

    def __init__(self, name: str, path: Path, versions: Callable[[], Sequence[RecordedVersion]]) -> None:
        self.name, self.path, self._versions = name, path, versions
        self._current: tuple[int, Question | None] | None = None
        self._pictures: Mapping[str, Contender] = {}

    @property
    def votes(self) -> list[Vote]:
        """Return the votes so far."""
        return ballots.read_votes(self.path)

    def contenders(self) -> list[Contender]:
        """Return who is voted on."""
        return contenders(self._versions())

    def question(self) -> tuple[int, Question | None]:
        """Return the question that is shown, and its number; it stays the same until it is answered.

        The question is None once every pair was shown.
        """
        number = len(self.votes)
        if self._current is None or self._current[0] != number or self._current[1] is None:
            there = self.contenders()
            self._pictures = {contender.key: contender for contender in there}
            self._current = (number, next_question(there, self.votes))
        return self._current

    def picture(self, number: int, side: str) -> Path | None:
        """Return the file of one side of the question of a number; None unless it is the one that is shown."""
        current, question = self.question()
        if current != number or question is None or side not in ("left", "right"):
            return None
        return self._pictures[getattr(question.pair, side)].pictures[question.pair.cell]

    def reference(self, index: int) -> Path | None:
        """Return one of the training images that are shown beside the pair; None past the last."""
        found = references(self._versions())
        return found[index] if index < len(found) else None

    def vote(self, number: int, choice: Choice) -> bool:
        """Store the answer to the question of a number; return False where another one is shown by now.

        Raises:
            OSError: it could not be stored.
        """
        current, question = self.question()
        if current != number or question is None:
            return False
        ballots.store_vote(self.path, question.pair, choice, repeats=question.repeats)
        return True

    def undo(self) -> bool:
        """Take the last vote back; return whether there was one. Its pair is the one that is shown then.

        Raises:
            OSError: that could not be stored.
        """
        taken = ballots.undo_last(self.path, self.votes)
        if taken is None:
            return False
        self._current = (len(self.votes), Question(taken.pair, taken.repeats))
        return True

    def state(self) -> dict[str, Any]:
        """Return what a page shows beside the pictures; nothing in it says whose they are."""
        number, question = self.question()
        votes = self.votes
        return {
            "name": self.name,
            "number": number,
            "prompt": None if question is None else text_of(question.pair.cell),
            "votes": sum(vote.choice != "skip" for vote in votes),
            "agreement": self_agreement(votes),
            "left": leftward(votes),
            "references": len(references(self._versions())),
        }

    def results(self) -> dict[str, Any]:
        """Return what the votes say: strengths, the best first, and what they agree with."""
        there, votes = self.contenders(), self.votes
        found = strengths([contender.key for contender in there], votes)
        rows: list[dict[str, Any]] = []
        for contender in there:
            strength, low, high = found.of(contender.key)
            own = [vote for vote in votes if contender.key in vote.pair.sides and vote.choice != "skip"]
            won = sum(vote.winner == contender.key for vote in own)
            ties = sum(vote.choice == "tie" for vote in own)
            about = {
                "key": contender.key,
                "label": contender.label,
                "folder": contender.folder and str(contender.folder),
            }
            counts = {"votes": len(own), "won": won, "tied": ties}
            rows.append(about | {"strength": strength, "low": low, "high": high} | counts)
        rows.sort(key=lambda row: -row["strength"])
        for row in rows:
            row["as_good"] = found.difference(rows[0]["key"], row["key"])[1] <= 0
        agreed, twice = self_agreement(votes)
        left, decided = leftward(votes)
        return {
            "name": self.name,
            "votes": sum(vote.choice != "skip" for vote in votes),
            "skipped": sum(vote.choice == "skip" for vote in votes),
            "strengths": rows,
            "self_agreement": {"agreed": agreed, "repeated": twice},
            "left": {"left": left, "decided": decided},
            "metrics": [
                {
                    "metric": one.metric,
                    "label": METRICS[one.metric].label,
                    "agrees": one.agrees,
                    "decided": one.decided,
                    "low": one.interval[0],
                    "high": one.interval[1],
                }
                for one in agreements(there, votes)
            ],
        }
