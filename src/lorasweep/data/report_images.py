"""What a report says of images: folders, sizes, buckets, masks, and the files that take no part."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from lorasweep.data.buckets import Size
from lorasweep.data.foreign import NAMED_AFTER_IMAGES
from lorasweep.data.items import Gathered, Item
from lorasweep.data.report import Case, Finding
from lorasweep.data.roles import Roles
from lorasweep.schema import Config
from lorasweep.text.encoding import readable
from lorasweep.text.shell import shell_quoted
from lorasweep.text.values import counted

LOST = 0.5
"""Share of an image that may be cropped away before it is worth a warning."""

ENLARGED = 2.0
"""Times that an image may be enlarged before it is worth a warning."""

MASKED = 0.01
"""Share of an image that its mask must leave to train, or it is worth a warning."""

_REGULARISATION = frozenset({"reg", "regs", "regularisation", "regularization", "class_images", "reg_images"})
_CURES = {
    "masks of OneTrainer": "to train by them, set {setting}{others}",
    "masks": "to train by them, set {setting}{others}",
    "videos": "save the frames that you want as pictures, or move them away",
    "archives": "unpack what belongs to the images, or move them away",
}

Name = Callable[[Path], str]
"""How people read a path: below the folder that was given."""


def images(gathered: Gathered, roles: Roles, config: Config, name: Name) -> Iterator[Finding]:
    """Yield what images there are, by folder and role.

    Args:
        gathered: all of them.
        roles: what is held out.
        config: the run.
        name: how people read a path.
    """
    rules = config.dataset
    yield _folders("images", gathered.images, rules.repeats, "dataset.repeats")
    if gathered.regularisation:
        repeats = rules.regularisation_repeats
        yield _folders("regularisation", gathered.regularisation, repeats, "dataset.regularisation_repeats")
    if roles.heldout or rules.holdout == 0 or rules.folds:
        yield Finding("held out", roles.how)
    else:
        yield Finding("held out", "nothing is held out: that takes at least two different pictures")
    if roles.alike:
        groups = [Case(" = ".join(item.sample.path.name for item in group)) for group in roles.alike]
        yield Finding("held out", "near-duplicates stay in one fold", tuple(groups))
    same: dict[str, list[Item]] = defaultdict(list)
    for item in gathered.images:
        same[item.sample.facts.digest].append(item)
    copies = [Case(", ".join(name(item.sample.path) for item in group)) for group in same.values() if len(group) > 1]
    if copies:
        yield Finding("images", "the same picture several times", tuple(copies), "delete all but one of each")
    moving = [Case(name(item.sample.path)) for item in _all(gathered) if item.sample.facts.moving]
    if moving:
        text = f"of {counted(len(moving), 'moving picture')} only the first frame is used"
        yield Finding("images", text, tuple(moving), "save the frames that you want as pictures of their own")
    regular = {folder for item in gathered.images if (folder := _named(item.sample.path, name, _REGULARISATION))}
    for folder in sorted(regular):
        yield Finding(
            "images",
            f"the images in {name(folder)} are trained as all others, though its name says regularisation",
            (),
            f"set {shell_quoted(f'dataset.regularisation_path={folder}')}",
        )


def sizes(gathered: Gathered, roles: Roles, config: Config, name: Name) -> Iterator[Finding]:
    """Yield what becomes of images on their way into buckets; arguments as of `images`."""
    yield from _buckets(roles.training + gathered.regularisation, config, name)
    seen = list(_all(gathered))
    lost = sorted(seen, key=lambda item: item.placement.kept)
    much = [Case(name(i.sample.path), f"{1 - i.placement.kept:.0%}") for i in lost if i.placement.kept < 1 - LOST]
    if much:
        text = f"{counted(len(much), 'image')} cropped by more than half"
        yield Finding(
            "sizes", text, tuple(much), "cut the part out that counts, or widen dataset.bucket_min and bucket_max"
        )
    some = [i for i in lost if 1 - LOST <= i.placement.kept < 0.9]
    if some:
        worst = Case(name(some[0].sample.path), f"{1 - some[0].placement.kept:.0%}")
        yield Finding("sizes", f"{counted(len(some), 'image')} cropped by a tenth to a half, at most", (worst,))
    yield from _enlarged(seen, name)


def _buckets(trained: Sequence[Item], config: Config, name: Name) -> Iterator[Finding]:
    buckets: dict[Size, list[Item]] = defaultdict(list)
    for item in trained:
        buckets[item.placement.bucket].append(item)
    by_count = sorted(buckets.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    cases = tuple(Case(f"{w} x {h}", counted(len(found), "image")) for (w, h), found in by_count)
    yield Finding("sizes", counted(len(buckets), "bucket"), cases)
    alone = [Case(name(found[0].sample.path), f"{w} x {h}") for (w, h), found in by_count if len(found) == 1]
    if alone and len(trained) > 1 and config.training.batch_size > 1:
        yield Finding(
            "sizes",
            f"{counted(len(alone), 'bucket')} with a single image, whose batches hold nothing but repeats of it",
            tuple(alone),
            "cut such images to the shape of others, set dataset.buckets=false, or training.batch_size=1",
        )


def _enlarged(seen: Sequence[Item], name: Name) -> Iterator[Finding]:
    grown = sorted((i for i in seen if i.placement.scale > 1), key=lambda item: -item.placement.scale)
    cases = [(i.placement.scale, Case(name(i.sample.path), f"{i.placement.scale:.1f} times")) for i in grown]
    much = tuple(case for scale, case in cases if scale > ENLARGED)
    if much:
        text = (
            f"{counted(len(much), 'image')} enlarged more than {ENLARGED:.0f} times, so that what is learnt is blurred"
        )
        yield Finding("sizes", text, much, "find larger copies, or set dataset.bucket_no_upscale=true")
    some = [case for scale, case in cases if scale <= ENLARGED]
    if some:
        yield Finding("sizes", f"{counted(len(some), 'image')} enlarged, at most", (some[0],))


def masks(gathered: Gathered, config: Config, name: Name) -> Iterator[Finding]:
    """Yield how much of the images counts; arguments as of `images`."""
    masked = sorted((item for item in gathered.images if item.mask), key=lambda item: item.mask.share)  # type: ignore
    if not masked:
        return
    shares = [item.mask.share for item in masked if item.mask]
    cases = tuple(
        Case(name(item.sample.path), f"{share * 100:.2g}%") for item, share in zip(masked, shares, strict=True)
    )
    mean = sum(shares) / len(shares)
    yield Finding(
        "masks",
        f"{len(masked)} of {counted(len(gathered.images), 'image')}, of which {mean:.0%} counts on average, at least",
        cases[:1],
    )
    few = sum(share < MASKED for share in shares)
    if few:
        text = f"{counted(few, 'mask')} of which less than {MASKED:.0%} counts"
        yield Finding("masks", text, cases[:few], "whiten what is to be learnt: white counts, black does not")
    if shares[0] > 0.999:
        key = "dataset.alpha_mask=false" if config.dataset.alpha_mask else "dataset.mask_path=null"
        yield Finding("masks", "every mask is white all over, so that none changes anything", (), f"set {key}")


def files(gathered: Gathered, root: Path, masked: bool, name: Name) -> Iterator[Finding]:
    """Yield what was found and is not used.

    Args:
        gathered: all of it.
        root: `dataset.path`.
        masked: whether the run has masks.
        name: how people read a path.
    """
    kinds: dict[str, list[Path]] = defaultdict(list)
    folders: dict[str, tuple[Path, Path]] = {}
    for unused in gathered.unused:
        kinds[unused.kind].append(unused.path)
        if unused.mirrors:
            folders[unused.kind] = unused.mirrors
    setting = shell_quoted(f"dataset.mask_path={root}")
    by_folders_name = any(item.sample.source is None for item in _all(gathered))
    for kind, paths in sorted(kinds.items()):
        others = " and give the other images masks too" if len(paths) < len(gathered.images) else ""
        cure = "" if masked and "masks" in kind else _CURES.get(kind, "").format(setting=setting, others=others)
        if kind in folders and not masked:
            of_masks, of_images = folders[kind]
            settings = shell_quoted(f"dataset.path={of_images}"), shell_quoted(f"dataset.mask_path={of_masks}")
            cure = f"to train by them, set {settings[0]} and {settings[1]}"
        if kind.startswith(NAMED_AFTER_IMAGES) and by_folders_name:
            cure = f"if they are captions, set dataset.caption_extension={paths[0].suffix.lower()}"
        yield Finding("not used", f"{kind} ({len(paths)})", tuple(Case(name(path)) for path in paths), cure)
    if gathered.skipped:
        yield Finding(
            "skipped",
            f"{counted(len(gathered.skipped), 'file')} left out because of dataset.on_bad_file=skip",
            tuple(Case(str(fault)) for fault in gathered.skipped),
            "mend them to train on them too",
        )


def _folders(subject: str, found: Sequence[Item], repeats: int | None, key: str) -> Finding:
    """Return the images by folder, and how often each is seen."""
    groups: Counter[tuple[str, int, str]] = Counter()
    for item in found:
        sample = item.sample
        source = ""
        if sample.label and repeats is None:
            source = ", from its name"
        elif sample.label and repeats != sample.label.repeats:
            source = f", from {key} (its name says {sample.label.repeats})"
        groups[readable(sample.folder), sample.repeats, source] += 1
    cases = [
        Case(folder, f"{counted(count, 'image')}, {counted(times, 'repeat')}{source}")
        for (folder, times, source), count in groups.most_common()
    ]
    if len(cases) == 1:
        return Finding(subject, cases[0].measure)
    return Finding(subject, f"{counted(len(found), 'image')} in {len(cases)} folders", tuple(cases))


def _all(gathered: Gathered) -> Iterable[Item]:
    return [*gathered.images, *gathered.validation, *gathered.regularisation]


def _named(path: Path, name: Name, names: frozenset[str]) -> Path | None:
    """Return the folder around a file, below the one that was given, that has one of these names."""
    depth = len(Path(name(path)).parts)
    inside = list(path.parents)[: depth - 1]
    return next((folder for folder in inside if folder.name.lower() in names), None)
