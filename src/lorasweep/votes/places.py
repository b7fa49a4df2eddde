"""Where votes are kept: beside the study, or beside the versions of a LoRA."""

from __future__ import annotations

from pathlib import Path

from lorasweep.schema import slug

FINALS = ":finals"  # as lorasweep.search calls the study of a study's repeats and folds


def study_of(name: str) -> str:
    """Return the study that a trial is voted on with: that of its repeats and folds is the study itself."""
    return name.removesuffix(FINALS)


def votes_of_study(output_root: Path | str, study: str) -> Path:
    """Return the path of the votes on the trials of a study."""
    return Path(output_root, "studies", study, "votes.jsonl")


def votes_of_name(output_root: Path | str, name: str) -> Path:
    """Return the path of the votes on all versions of a LoRA."""
    return Path(output_root, slug(name), "votes.jsonl")
