"""A version that begins where another one stopped: a retried trial gets a number and a folder of its own.

Every draw of a training is a function of the seed and of where it is drawn, so what an earlier version has done up
to its last saved state is what the new one would do, but for the order in which a GPU adds
(`training.deterministic`): it is copied under the new name instead. The earlier version may have been killed in the
middle of anything; its folder is only read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasweep import files, lock
from lorasweep.config import schema_keys
from lorasweep.errors import UserError
from lorasweep.export.weights import read_weights, write_weights
from lorasweep.tracking.jsonl import truncate_after
from lorasweep.training import state


class Unfit(Exception):
    """An earlier version cannot be continued; the text says why."""


@dataclass(frozen=True)
class Earlier:
    """A version that can be continued.

    Attributes:
        folder: its version folder. record: what its record.json holds.
        state: its last saved state. step: the optimizer steps that are in it.
    """

    folder: Path
    record: Mapping[str, Any]
    state: Path
    step: int

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The record's entries of the epochs that are complete in the state."""
        return [entry for entry in self.record["epochs"] if entry["step"] <= self.step]


@contextmanager
def reading(folder: Path, fresh: Mapping[str, Any]) -> Iterator[Earlier]:
    """Find what is to be continued, and keep every process from training that version in the meantime.

    A version that was killed before its first state, but was itself to continue another one, leads on to that one.

    Args:
        folder: the earlier version's folder. fresh: the record that the new version begins with.

    Raises:
        Unfit: there is nothing to continue, or it was another training, or it still runs.
    """
    record = _record(folder)
    if differing := _differences(record, fresh):
        raise Unfit(f"it was made with another {', '.join(differing[:4])}{', ...' if len(differing) > 4 else ''}")
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.standing_still(folder))
            found = state.latest(folder)
        except lock.Held as holder:
            raise Unfit(f"it is still being trained, by process {holder}") from None
        except UserError as error:
            raise Unfit("; ".join(error.problems)) from None
        if found is not None:
            earlier = Earlier(folder, record, *found)
            named = [entry["file"] for entry in earlier.epochs if entry["file"]]
            if missing := [name for name in named if not (folder / name).exists()]:
                raise Unfit(f"{missing[0]} is gone")
            yield earlier
            return
    if not record.get("continued_from"):
        raise Unfit("it has no saved state yet")
    with reading(folder.with_name(f"v{record['continued_from']['version']}"), fresh) as earlier:
        yield earlier


def take_over(earlier: Earlier, folder: Path, name: str) -> dict[str, Any]:
    """Copy what `earlier` has done into the folder of a new version, the state last: without it nothing counts.

    Args:
        earlier: as `reading` gives it. folder: the new version folder. name: start of its weights files' names,
            such as `FuzzyBear_v7`.

    Returns:
        The values that the new version's record takes over.

    Raises:
        Unfit: a weights file is damaged; nothing that counts was copied.
        OSError: the disk is full or the like.
    """
    epochs = []
    for entry in earlier.epochs:
        renamed = f"{name}-{entry['epoch']:06d}.safetensors" if entry["file"] else None
        if renamed:
            _copy_weights(earlier.folder / entry["file"], folder / renamed, name)
        epochs.append({**entry, "file": renamed})
    last = epochs[-1]["epoch"] if epochs else 0
    for picture in sorted((earlier.folder / "samples").glob("[0-9]*_[0-9]*.png")):
        if int(picture.name.partition("_")[0]) <= last:
            _copy(picture, folder / "samples" / picture.name)
    rows = earlier.folder / "metrics.jsonl"
    if rows.exists():
        _copy(rows, folder / rows.name)
        truncate_after(folder / rows.name, earlier.step)
    _copy(earlier.state, folder / "state" / earlier.state.name)
    return {
        "epochs": epochs,
        "metrics": {key: value for key, value in earlier.record["metrics"].items() if key == "base"},
        "continued_from": {"version": earlier.record["version"], "step": earlier.step},
    }


def _record(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    except (OSError, ValueError):
        raise Unfit("its folder is gone" if not folder.exists() else "it was stopped before it began") from None
    return record


def _differences(record: Mapping[str, Any], fresh: Mapping[str, Any]) -> list[str]:
    """Return in words where the two records describe different trainings."""
    before, now = _leaves(record["config"]), _leaves(fresh["config"])
    found = [
        key.name
        for key in schema_keys().values()
        if key.resume in ("refused", "longer", "measured")
        and before.get(key.name, key.default) != now.get(key.name, key.default)
    ]
    # The config names folders; these say what was in them.
    digests = {"base model": "base", "set of images": "dataset"}
    return found + [words for words, key in digests.items() if record[key]["sha256"] != fresh[key]["sha256"]]


def _leaves(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        leaves |= _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return leaves


def _copy_weights(source: Path, target: Path, name: str) -> None:
    """Copy a weights file, which then says that it is of the version `name`."""
    try:
        tensors, metadata = read_weights(source)
    except UserError as error:
        raise Unfit(f"{source.name}: {'; '.join(error.problems)}") from None
    write_weights(target, tensors, metadata | {"ss_output_name": name, "modelspec.title": name})


def _copy(source: Path, target: Path) -> None:
    with files.writing(target) as temporary:
        shutil.copyfile(source, temporary)
