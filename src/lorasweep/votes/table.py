"""What votes say, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def result_lines(results: Mapping[str, Any]) -> list[str]:
    """Return the results of a poll in lines.

    Args:
        results: as `Poll.results` returns them.
    """
    rows = results["strengths"]
    width = max((len(row["label"]) for row in rows), default=0)
    found = [f"{results['name']}: {results['votes']} votes, {results['skipped']} skipped"]
    found.append(f"  {'':{width}}  strength  95 % interval    won  tied  votes")
    for row in rows:
        interval = f"{row['low']:5.2f} to {row['high']:5.2f}"
        mark = "  as good as the first" if row["as_good"] and row is not rows[0] else ""
        counts = f"{row['won']:>5}  {row['tied']:>4}  {row['votes']:>5}"
        found.append(f"  {row['label']:{width}}  {row['strength']:8.2f}  {interval}  {counts}{mark}")
    found.append("  strength: of two, the one that is 1 stronger wins 73 of 100 pairs; 0 is the average")
    found.append("  the intervals are of these versions: another training of a configuration comes out elsewhere")
    again, left = results["self_agreement"], results["left"]
    if again["repeated"]:
        found.append(f"  of {again['repeated']} pairs that were shown twice, {again['agreed']} were judged alike")
    if left["decided"]:
        found.append(f"  {left['left']} of {left['decided']} decided votes went to the left")
    for one in results["metrics"]:
        share = f"{one['agrees']} of {one['decided']} decided votes"
        found.append(f"  {one['label']} prefers the same in {share} ({one['low']:.0%} to {one['high']:.0%})")
    return found
