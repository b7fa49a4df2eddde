"""Commands that the program prints for its user to type: whole, quoted for a shell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from lorasweep import program
from lorasweep.schema import PERMISSIONS, schema_keys, slug
from lorasweep.text.shell import shell_quoted

_PLACE = re.compile(r"file://([^'\"\],]+)")


def recipe_folders(line: Iterable[str] = ()) -> list[Path]:
    """Return the folders that recipes are in: the program's, and those that `hydra.searchpath` adds.

    Args:
        line: overrides, of which one may do so.
    """
    own = [place for text in line if key_of(text) == "hydra.searchpath" for place in _PLACE.findall(text)]
    return [folder / "lora" for folder in (program.conf(), *map(Path, own))]


def train(overrides: Iterable[str]) -> str:
    """Return the command that trains one version with these overrides."""
    return " ".join([program.command(), *(shell_quoted(text) for text in overrides)])


def resume(name: str, recipe: str, version: int, output_root: str, *changes: str) -> str:
    """Return the command that continues a version.

    Args:
        name: its display name.
        recipe: the recipe that it came from, or nothing.
        version: N of vN.
        output_root: folder of all versions.
        *changes: further overrides.
    """
    group = recipe.partition("/")[0]
    named = [f"lora={group}"] if slug(name) == group and (recipe_folders()[0] / f"{group}.yaml").exists() else []
    root = [] if output_root == "outputs" else [f"output_root={output_root}"]
    return train([*(named or ["lora=custom", f"name={name}"]), f"resume=v{version}", *changes, *root])


def versions(name: str, output_root: str) -> str:
    """Return the command that lists the versions of a name."""
    return _verb("versions", slug(name), output_root)


def vote(name: str, output_root: str) -> str:
    """Return the command that asks people for votes on a study or a LoRA.

    Args:
        name: its name.
        output_root: folder of all versions.
    """
    return _verb("vote", name, output_root)


def study(name: str, output_root: str, storage: str | None = None) -> str:
    """Return the command that shows what a study found.

    Args:
        name: the study's.
        output_root: folder of all versions.
        storage: where the study is kept; None where that is its own folder.
    """
    kept = f" --storage {shell_quoted(storage)}" if storage else ""
    return _verb("study", name, output_root) + kept


def changed(line: Iterable[str], changes: Iterable[str]) -> list[str]:
    """Return the overrides of a command line with others besides, in the place of those for the same key or group.

    Of the changes, what only says which version is meant is left out, for the result is a new version; not the folder
    that versions are in, which it may be about.

    Args:
        line: the overrides that a version was begun with.
        changes: the overrides of another command line.
    """
    kept = [text for text in changes if not _identifies(text) or key_of(text) == "output_root"]
    return list(({key_of(text): text for text in line} | {key_of(text): text for text in kept}).values())


def wishes(line: Iterable[str]) -> list[str]:
    """Return the overrides of a command line that are more than what says which version is meant."""
    return [text for text in line if not _identifies(text)]


def without_permissions(line: Iterable[str]) -> list[str]:
    """Return the overrides of a command line that may be kept: what permits something is to be given each time."""
    return [text for text in line if key_of(text) not in PERMISSIONS]


def key_of(override: str) -> str:
    """Return the key or group that an override is for: `network.rank` of `+network.rank=4`."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def _identifies(override: str) -> bool:
    key = schema_keys().get(key_of(override))
    return key_of(override) == "lora" or (key is not None and key.resume == "which")


def _verb(verb: str, name: str, output_root: str) -> str:
    root = "" if output_root == "outputs" else f" --output-root {shell_quoted(output_root)}"
    return f"lorasweep {verb} {shell_quoted(name)}{root}"
