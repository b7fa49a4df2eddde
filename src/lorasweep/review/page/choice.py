"""Which versions a page is about: a LoRA's, a study's, or all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorasweep.errors import UserError
from lorasweep.runs import ledger
from lorasweep.schema import slug
from lorasweep.text.names import did_you_mean

STUDIES = "studies"
"""The folder of studies within that of all versions."""


@dataclass(frozen=True)
class Choice:
    """What a page is about.

    Attributes:
        root: folder of all versions.
        lora: only those of this one; None for all.
        study: only the trials of this one; None for all.
    """

    root: Path
    lora: str | None = None
    study: str | None = None

    @property
    def home(self) -> Path:
        """Return the folder that the page belongs into."""
        if self.lora is not None:
            return self.root / self.lora
        return self.root if self.study is None else self.root / STUDIES / self.study

    def title(self, versions: Sequence[ledger.RecordedVersion]) -> str:
        """Return the headline of its page.

        Args:
            versions: its own.
        """
        if self.study is not None:
            return f"study {self.study}"
        return "all versions" if self.lora is None or not versions else versions[0].name

    def versions(self) -> list[ledger.RecordedVersion]:
        """Return the versions that are there at this moment."""
        found = ledger.versions(self.root, self.lora)
        return [version for version in found if self.study is None or version.record.study == self.study]


def choose(target: str | None, root: Path) -> Choice:
    """Return what is meant: a LoRA or a study by its name or folder, or the folder of all versions.

    Args:
        target: as it was typed; None for all versions.
        root: folder of all versions, where the target is a name.

    Raises:
        UserError: there is no such LoRA or study, or it has no versions.
    """
    found = Choice(root) if target is None else _of_folder(Path(target)) or _of_name(target, root)
    if found.versions():
        return found
    raise _nothing(target, root)


def _of_folder(folder: Path) -> Choice | None:
    """Return what a folder of versions, of a study, or of several LoRAs stands for; None of any other."""
    if not folder.is_dir():
        return None
    whole = folder.resolve()  # it may be `.`
    if any(folder.glob("v*/record.json")):
        return Choice(_near(whole.parent), lora=whole.name)
    if whole.parent.name == STUDIES:
        return Choice(_near(whole.parents[1]), study=whole.name)
    return Choice(folder) if any(folder.glob("*/v*/record.json")) else None


def _near(folder: Path) -> Path:
    """Return a folder as one types it from here, where it lies below."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _of_name(target: str, root: Path) -> Choice:
    lora = Choice(root, lora=slug(target))
    return lora if lora.versions() else Choice(root, study=target)


def _nothing(target: str | None, root: Path) -> UserError:
    versions: Sequence[ledger.RecordedVersion] = ledger.versions(root)
    loras, studies = (
        dict.fromkeys(slug(version.name) for version in versions),
        dict.fromkeys(version.record.study for version in versions if version.record.study),
    )
    known = [*loras, *studies]
    what = f"no version of {target}, and no study of that name" if target else "no version"
    there = f"it has {', '.join(known)}" if known else "train one first, or give --output-root"
    guess = did_you_mean(target, known) if target else ""
    return UserError(f"{root} holds {what}: {there}{guess}", title="There is nothing to review")
