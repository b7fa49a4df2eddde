"""What a run learns from and is measured on, picture by picture: enough to say later what has changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple, TypedDict

from lorasweep.data.items import Item
from lorasweep.data.survey import Survey
from lorasweep.schema import DatasetConfig
from lorasweep.text.encoding import readable
from lorasweep.text.values import few

ROLES = {"training": "trained on", "heldout": "held out", "regularisation": "a regularisation image"}
DIGITS = 16  # of a digest: enough to tell pictures and captions apart


class Picture(TypedDict):
    """One picture of a run.

    Attributes:
        file: its path inside its folder.
        picture: digest of its pixels.
        caption: digest of its whole caption.
        mask: digest of its mask; empty without one.
        repeats: times it is drawn in an epoch.
    """

    file: str
    picture: str
    caption: str
    mask: str
    repeats: int


Manifest = Mapping[str, Sequence[Picture]]
"""Each of `ROLES` -> its pictures, in the order in which draws count them."""


def manifest(seen: Survey, rules: DatasetConfig) -> Manifest:
    """Return the manifest of a run's pictures.

    Args:
        seen: all of them.
        rules: says in which folders they are.
    """
    heldout = rules.path if rules.validation_path is None else rules.validation_path
    return {
        "training": list(_pictures(seen.training, rules.path)),
        "heldout": list(_pictures(seen.heldout, heldout)),
        "regularisation": list(_pictures(seen.regularisation, rules.regularisation_path)),
    }


def changes(before: Manifest, now: Manifest) -> list[str]:
    """Return in words, one line each, what differs between a run on one manifest and on the other.

    Where the pictures lie and what they are called is of no account, as long as their order is the same.
    """
    old, new = list(_facts(before)), list(_facts(now))
    if [facts for _, facts in old] == [facts for _, facts in new]:
        return []
    gone: dict[str, list[tuple[str, _Facts]]] = defaultdict(list)
    for file, facts in _beyond(old, new):
        gone[facts.picture].append((file, facts))
    found: dict[str, list[str]] = defaultdict(list)
    for file, facts in _beyond(new, old):
        if gone[facts.picture]:
            _, was = gone[facts.picture].pop(0)
            for words in _differences(was, facts):
                found[words].append(file)
        else:
            found["not there before"].append(file)
    if missing := [file for pictures in gone.values() for file, _ in pictures]:
        found["gone"] = missing
    if not found:
        return ["the same images in another order: their files were renamed"]
    return [f"{len(files)} image{'s' * (len(files) > 1)} {words}: {few(files)}" for words, files in found.items()]


class _Facts(NamedTuple):
    """What a run knows of a picture, which is not its name."""

    role: str
    picture: str
    caption: str
    mask: str
    repeats: int


def _facts(manifest: Manifest) -> Iterator[tuple[str, _Facts]]:
    for role in ROLES:
        for entry in manifest.get(role, ()):
            facts = _Facts(role, entry["picture"], entry["caption"], entry["mask"], entry["repeats"])
            yield entry["file"], facts


def _beyond(these: Iterable[tuple[str, _Facts]], those: Iterable[tuple[str, _Facts]]) -> Iterator[tuple[str, _Facts]]:
    """Yield what is in `these` more often than in `those`."""
    left = Counter(facts for _, facts in those)
    for file, facts in these:
        if left[facts]:
            left[facts] -= 1
        else:
            yield file, facts


def _differences(was: _Facts, now: _Facts) -> Iterator[str]:
    if was.role != now.role:
        yield f"{ROLES[now.role]} now, {ROLES[was.role]} before"
    if was.caption != now.caption:
        yield "with another caption"
    if was.mask != now.mask:
        yield "with another mask"
    if was.repeats != now.repeats:
        yield "with other repeats"


def _pictures(items: Iterable[Item], folder: str | None) -> Iterator[Picture]:
    for item in items:
        path = item.sample.path
        inside = path.relative_to(folder) if folder is not None and path.is_relative_to(folder) else path
        yield {
            "file": readable(inside),
            "picture": item.sample.facts.digest[:DIGITS],
            "caption": sha256(item.caption.encode(errors="surrogateescape")).hexdigest()[:DIGITS],
            "mask": item.mask.digest[:DIGITS] if item.mask else "",
            "repeats": item.sample.repeats,
        }
