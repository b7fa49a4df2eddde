"""What a report says of captions: where they are from, what of them is lost, and what is hardly meant."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from lorasweep.data import captions
from lorasweep.data.captions import Change
from lorasweep.data.items import Gathered, Item
from lorasweep.data.listing import Label
from lorasweep.data.report import Case, Finding
from lorasweep.data.report_images import Name
from lorasweep.families.known import family_of
from lorasweep.schema import Config, DatasetConfig
from lorasweep.text.encoding import readable
from lorasweep.text.triggers import with_trigger
from lorasweep.text.values import counted

_LONG = 40
"""Letters of a tag that are shown."""


def sources(gathered: Gathered, config: Config, name: Name) -> Iterator[Finding]:
    """Yield where the captions are from, and the longest.

    Args:
        gathered: the images.
        config: the run.
        name: how people read a path.
    """
    items = [*gathered.images, *gathered.validation, *gathered.regularisation]
    from_files = [item for item in items if item.sample.source]
    parts = [f"{len(from_files)} from {config.dataset.caption_extension} files"] if from_files else []
    named: dict[Label, list[Item]] = defaultdict(list)
    for item in items:
        if item.sample.source is None and item.sample.label is not None:
            named[item.sample.label].append(item)
    parts += [f'{len(found)} from the name of {name(label.folder)}: "{label.words}"' for label, found in named.items()]
    longest = max(items, key=lambda item: item.tokens)
    yield Finding("captions", "; ".join(parts))
    if longest.tokens:  # none: the base's vocabulary cannot be had
        yield Finding(
            "captions",
            f"{counted(longest.tokens, 'token')} in the longest, of at most {config.dataset.max_tokens}",
            (Case(_where(longest, name)),),
        )
    with_files = {item.sample.label for item in from_files}
    for label, found in named.items():
        if label in with_files:
            yield Finding(
                "captions",
                f"{counted(len(found), 'image')} of {name(label.folder)} without a {config.dataset.caption_extension} "
                f'file, trained as "{label.words}", the folder\'s name',
                tuple(Case(name(item.sample.path)) for item in found),
                "describe them as the others are",
            )


def changed_text(gathered: Gathered, config: Config, name: Name) -> Iterator[Finding]:
    """Yield what was made of the files' text; arguments as of `sources`."""
    separator = config.dataset.caption_separator
    changes = {
        Change.LINES: f'joined by "{separator}"',
        Change.COMMAS: "read as commas",
        Change.BRACKETS: r"\( and \) read as ( and ), as prompts have them",
        Change.TRIGGER: f'filled in: "{config.dataset.trigger}"',
    }
    items = [*gathered.images, *gathered.validation, *gathered.regularisation]
    for change, how in changes.items():
        found = [item for item in items if change in item.sample.changes]
        if found:
            text = f"{counted(len(found), 'caption')} with {change.value}, {how}"
            yield Finding("captions", text, tuple(Case(_where(item, name)) for item in found))


def losses(gathered: Gathered, config: Config, name: Name) -> Iterator[Finding]:
    """Yield what the text encoders never get of the captions; arguments as of `sources`."""
    rules, most = config.dataset, config.dataset.max_tokens
    items = [*gathered.images, *gathered.validation, *gathered.regularisation]
    long = sorted((item for item in items if item.tokens > most), key=lambda item: -item.tokens)
    if not long:
        return
    yield Finding(
        "captions",
        f"{counted(len(long), 'caption')} of more than {most} tokens, of which the rest is cut off",
        tuple(Case(_where(item, name), f"{item.tokens} tokens") for item in long),
        _room(long[0].tokens, config),
    )
    if rules.shuffle_tags:
        return  # then others are lost at every draw
    lost: Counter[str] = Counter()
    for item in long:
        kept = Counter(captions.tags_of(item.kept, rules.caption_separator))
        lost.update(Counter(captions.tags_of(item.caption, rules.caption_separator)) - kept)
    tags = [Case(readable(_shortened(tag)), counted(count, "caption")) for tag, count in lost.most_common()]
    yield Finding("captions", f"{counted(len(tags), 'tag')} not trained where captions are cut off", tuple(tags))
    suffix = with_trigger(rules.caption_suffix, rules.trigger)
    if suffix and not all(captions.ends_with(item.kept, suffix) for item in long):
        yield Finding(
            "captions",
            "dataset.caption_suffix is cut off of captions that are too long",
            (),
            "set dataset.caption_prefix instead, or mend the captions",
        )


def meaning(gathered: Gathered, config: Config, name: Name) -> Iterator[Finding]:
    """Yield what is trained as it stands and is hardly meant so; arguments as of `sources`."""
    rules, trigger = config.dataset, config.dataset.trigger
    images = [*gathered.images, *gathered.validation]
    syntax = [
        Case(_where(item, name), found)
        for item in [*images, *gathered.regularisation]
        if (found := captions.prompt_syntax(item.caption))
    ]
    if syntax:
        yield Finding(
            "captions",
            f"{counted(len(syntax), 'caption')} with the syntax of prompts, which is trained letter by letter",
            tuple(syntax),
            "write the words alone",
        )
    yield from _tagless(images, rules)
    if not trigger:
        return
    without = [item for item in images if not captions.has_trigger(item.caption, trigger)]
    if without:
        yield Finding(
            "captions",
            f'{len(without)} of {len(images)} captions lack the trigger "{trigger}"',
            tuple(Case(_where(item, name)) for item in without),
            f"unless that is meant, set {captions.trigger_setting(rules.caption_prefix, trigger)}",
        )
    inside = [item for item in images if item not in without and not captions.begins_with(item.caption, trigger)]
    if inside:
        text = f"{counted(len(inside), 'caption')} with the trigger, but not first"
        yield Finding("captions", text, tuple(Case(_where(item, name)) for item in inside))
    if config.compat.literal_captions and captions.has_trigger(rules.caption_prefix, trigger):
        twice = [item for item in images if captions.has_trigger(item.sample.caption, trigger)]
        if twice:
            yield Finding(
                "captions",
                f"{counted(len(twice), 'caption')} with the trigger twice: dataset.caption_prefix has it, and they do",
                tuple(Case(_where(item, name)) for item in twice),
                "set compat.literal_captions=false, which leaves one",
            )


def _tagless(images: Sequence[Item], rules: DatasetConfig) -> Iterator[Finding]:
    """Yield that shuffling or dropping tags finds none to act on."""
    most = max(len(captions.tags_of(item.caption, rules.caption_separator)) for item in images)
    if most >= rules.keep_tokens + 2 or not (rules.shuffle_tags or rules.tag_dropout):
        return
    settings = {"dataset.shuffle_tags=false": rules.shuffle_tags, "dataset.tag_dropout=0": rules.tag_dropout}
    off = " ".join(setting for setting, on in settings.items() if on)
    beyond = f" beyond dataset.keep_tokens={rules.keep_tokens}" if rules.keep_tokens else ""
    yield Finding(
        "captions",
        f'no caption has two tags{beyond}, parted by "{rules.caption_separator}", to shuffle or drop',
        (),
        f"set dataset.caption_separator to what parts them, or set {off}",
    )


def prompts(texts: Sequence[tuple[str, int]], config: Config) -> Iterator[Finding]:
    """Yield which prompts of samples are cut off, or mean something to other programs only.

    Args:
        texts: each prompt, and how many tokens it has.
        config: whose prompts they are.
    """
    most = config.dataset.max_tokens
    syntax = tuple(Case(f'"{_shortened(text)}"', found) for text, _ in texts if (found := captions.prompt_syntax(text)))
    if syntax:
        text = f"{counted(len(syntax), 'prompt')} of sampling with a syntax that is read letter by letter here"
        yield Finding("prompts", text, syntax, "write the words alone")
    long = sorted((-tokens, text) for text, tokens in texts if tokens > most)
    if long:
        cases = tuple(Case(f'"{_shortened(text)}"', f"{-tokens} tokens") for tokens, text in long)
        text = f"{counted(len(long), 'prompt')} of sampling longer than {most} tokens, cut off there"
        yield Finding("prompts", text, cases, _room(-long[0][0], config))


def _room(longest: int, config: Config) -> str:
    """Return what to do about the longest text, of so many tokens."""
    lengths = family_of(config.base_model).caption_lengths or (longest,)
    larger = [length for length in lengths if length > config.dataset.max_tokens]
    enough = [length for length in larger if length >= longest]
    if enough:
        return f"set dataset.max_tokens={enough[0]}"
    shorten = f"put what counts first, and shorten them to {lengths[-1]} tokens"
    return f"set dataset.max_tokens={larger[-1]}, {shorten}" if larger else shorten


def _where(item: Item, name: Name) -> str:
    sample = item.sample
    return name(sample.source or sample.path)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONG else text[: _LONG - 3] + "..."
