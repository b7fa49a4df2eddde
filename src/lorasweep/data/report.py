"""What there is to know of a run's data before it is trained on: facts, and warnings with what to do.

One small object, so that whatever shows it (the console, a record, a page) shows the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.text.lines import WARNING
from lorasweep.text.values import few


@dataclass(frozen=True)
class Case:
    """One file, tag or folder that a finding is about.

    Args:
        name: as people read it.
        measure: what was measured of it, such as `638 tokens`.
    """

    name: str
    measure: str = ""

    def __str__(self) -> str:
        """Return the name and, in brackets, the measure."""
        return f"{self.name} ({self.measure})" if self.measure else self.name


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        subject: what it is about, in a word: images, sizes, captions, ...
        text: what was found.
        cases: in which files, the worst first.
        cure: what to do; a finding with one is a warning, without one a fact.
    """

    subject: str
    text: str
    cases: tuple[Case, ...] = ()
    cure: str = ""

    def __str__(self) -> str:
        """Return one line, with the first cases by name."""
        cases = few([str(case) for case in self.cases])
        return self.text + (f": {cases}" if cases else "") + (f"; {self.cure}" if self.cure else "")


@dataclass(frozen=True)
class Report:
    """All that was found.

    Args:
        findings: facts and warnings, in the order in which they are shown.
    """

    findings: tuple[Finding, ...]

    @property
    def facts(self) -> list[Finding]:
        """What is as it is."""
        return [finding for finding in self.findings if not finding.cure]

    @property
    def warnings(self) -> list[Finding]:
        """What is hardly meant."""
        return [finding for finding in self.findings if finding.cure]

    def lines(self) -> list[str]:
        """Return what the console shows: the facts by subject, then the warnings, each marked as one."""
        subjects: dict[str, list[Finding]] = {}
        for fact in self.facts:
            subjects.setdefault(fact.subject, []).append(fact)
        width = max(map(len, subjects), default=0)
        facts = [
            f"  {subject if number == 0 else '':<{width}}  {fact}"
            for subject, found in subjects.items()
            for number, fact in enumerate(found)
        ]
        return [*facts, *(f"{WARNING}{finding}" for finding in self.warnings)]
