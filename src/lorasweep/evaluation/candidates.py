"""What is looked at: a finished version, one epoch of it, a weights file from anywhere, or the bare base."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorasweep.errors import UserError
from lorasweep.families.weights_files import is_weights_name
from lorasweep.runs import ledger, paths
from lorasweep.runs.record import Record
from lorasweep.schema import slug
from lorasweep.text.names import did_you_mean

TITLE = "There is nothing to look at"
_NAME = re.compile(r"(?:(?P<lora>[^/@:]+)/)?v(?P<number>\d+)(?:@(?P<epoch>\d+|last))?")
_STRENGTH = re.compile(r"(?P<what>.+):(?P<strength>[-+]?(\d+\.?\d*|\.\d+))")


@dataclass(frozen=True)
class Candidate:
    """A weights file, and what is known of it.

    Attributes:
        text: as it was asked for, without a strength.
        file: its weights; None is the bare base.
        strength: that was asked for with it (`v6:0.6`); None where none was.
        record: of the version that it is of; None of a file from elsewhere.
        epoch: which epoch of the version; None of a file from elsewhere.
    """

    text: str
    file: Path | None
    strength: float | None = None
    record: Record | None = None
    epoch: int | None = None

    @property
    def label(self) -> str:
        """What people call it: `FuzzyBear v6`, `FuzzyBear v6 epoch 12`, `sage.safetensors`."""
        if self.record is None:
            return self.file.name if self.file is not None else "base"
        which = "" if self.epoch == self.record.selected_epoch else f" epoch {self.epoch}"
        return f"{self.record.name} v{self.record.version}{which}"


def find_candidates(texts: Sequence[str], output_root: Path | str) -> list[Candidate]:
    """Return what is asked for, in its order.

    Args:
        texts: `v6`, `fuzzybear/v6`, `v6@12`, `v6@last`, `file.safetensors`, each with a strength behind a colon or not.
        output_root: folder of all versions.

    Raises:
        UserError: everything among it that cannot be looked at.
    """
    versions = ledger.versions(output_root)
    found, problems = [], []
    for text in texts:
        try:
            found.append(_find(text, versions, output_root))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems, title=TITLE)
    return found


def _find(text: str, versions: Sequence[ledger.RecordedVersion], output_root: Path | str) -> Candidate:
    what, strength = text, None
    if (match := _STRENGTH.fullmatch(text)) and not Path(text).exists():
        what, strength = match["what"], float(match["strength"])
    if is_weights_name(what) or Path(what).is_file():
        if not Path(what).is_file():
            raise UserError(f"{what}: there is no such file")
        return _of_version(Candidate(what, Path(what), strength), versions)
    if (name := _NAME.fullmatch(what)) is None:
        named = ", ".join(dict.fromkeys(slug(version.name) for version in versions))
        raise UserError(
            f"{what}: expected a version (v6, NAME/v6), an epoch of one (v6@12) or a .safetensors file"
            + (f"; {output_root} has versions of {named}" if named else "")
        )
    version = _version(what, name["lora"], int(name["number"]), versions, output_root)
    epoch, file = _epoch(version, name["epoch"])
    return Candidate(what, file, strength, version.record, epoch)


def _version(
    text: str, lora: str | None, number: int, versions: Sequence[ledger.RecordedVersion], output_root: Path | str
) -> ledger.RecordedVersion:
    """Return the one version that a name is for."""
    of_lora = [version for version in versions if lora is None or slug(version.name) == slug(lora)]
    found = [version for version in of_lora if version.number == number]
    if len(found) == 1:
        if found[0].status == "running":
            raise UserError(f"{text}: {found[0].folder} is being trained: wait for it, or stop it first")
        return found[0]
    if found:
        ways = ", ".join(f"{slug(version.name)}/v{number}" for version in found)
        raise UserError(f"{text}: several LoRAs have it; give one of {ways}")
    known = [f"{slug(version.name)}/v{version.number}" for version in of_lora or versions]
    there = f"{output_root} has {', '.join(known)}{did_you_mean(text, known)}" if known else "train one first"
    raise UserError(f"{text}: there is no such version; {there}")


def _epoch(version: ledger.RecordedVersion, which: str | None) -> tuple[int, Path]:
    """Return number and weights file of an epoch: the selected one, the last, or one by its number."""
    record, name = version.record, f"{slug(version.name)}/v{version.number}"
    saved = [entry for entry in record.saved if (record.folder / str(entry.file)).exists()]
    if which is None and record.selected_epoch is not None:
        chosen = paths.selected(record.folder, record.stem)
        if chosen.exists():
            return record.selected_epoch, chosen
    if not saved:
        raise UserError(f"{name}: it has no weights file, as it was stopped before the first, or they were removed")
    wanted = saved[-1].epoch if which in (None, "last") else int(str(which))
    for entry in saved:
        if entry.epoch == wanted:
            return wanted, record.folder / str(entry.file)
    kept = ", ".join(str(entry.epoch) for entry in saved)
    raise UserError(f"{name}@{which}: there is no weights file of that epoch; those of {kept} are kept")


def _of_version(candidate: Candidate, versions: Sequence[ledger.RecordedVersion]) -> Candidate:
    """Return the same file as the epoch that it is, where it lies in the folder of a version."""
    assert candidate.file is not None
    file = candidate.file.resolve()
    for version in versions:
        if version.folder.resolve() != file.parent or version.status == "running":
            continue
        record = version.record
        by_name = {str(entry.file): entry.epoch for entry in record.saved}
        if record.selected_epoch is not None:
            by_name[paths.selected(record.folder, record.stem).name] = record.selected_epoch
        if (epoch := by_name.get(file.name)) is not None:
            return Candidate(candidate.text, candidate.file, candidate.strength, record, epoch)
    return candidate
