"""The config reference: docs/config-reference.md, written from the schema and from the files of conf/."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from omegaconf import MISSING

from lorasweep.app import help
from lorasweep.compose.precedence import ORDER
from lorasweep.schema import Config, Key, schema_keys
from lorasweep.schema.keys import keys_of
from lorasweep.text.values import written

_KINDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_LIMITS = {"above": "> {}", "at_least": "≥ {}", "below": "< {}", "at_most": "≤ {}"}

_HEAD = """\
# Config reference

Every key of a run, from the schema in `src/lorasweep/schema/`; `lorasweep reference` writes this page. Set
a key with `key=value`, a group of settings with `group=choice`:

```sh
python train.py lora=food/v8 optimizer=adamw network.rank=32
```

Who wins: ORDER. The default
below is the schema's; groups, recipe and preset change it. `python train.py ... --cfg job --resolve` prints what a
command line comes to.

`${native:512}` in a config file means "512 pixels on a base of 1024, at the scale of this run's base": 512 on
SDXL, 32 on the toy. Numbers on the command line are plain pixels.
"""


_ON_RESUME = """\
A version keeps its settings when it is resumed (`resume=v6`, `resume=latest`), and refuses others. What may change:

| on resume | keys |
|---|---|
"""
_MAY = {
    "free": "nothing of what is learnt changes",
    "moved": "what lies there must be the same as before",
    "measured": "the base is measured and drawn again, and earlier epochs no longer compete for the best",
    "longer": "a new version begins from the old one, which stays as it is",
}


def markdown(conf: Path) -> str:
    """Return the whole page.

    Args:
        conf: the folder of config groups, whose choices are listed beside their keys; without a checkout there is none.
    """
    choices = help.group_choices(conf) if conf.is_dir() else {}
    parts = [
        _HEAD.replace("ORDER", ORDER),
        "## Groups\n",
        _groups(choices),
        "## The run\n",
        _table(_own_keys("", Config)),
    ]
    hints = get_type_hints(Config)
    for entry in fields(Config):
        if is_dataclass(hints[entry.name]):
            parts += _section(entry.name, hints[entry.name], choices)
    parts += ["## What a resumed version may change\n", _on_resume()]
    return "\n".join(parts)


def _section(name: str, schema: Any, choices: dict[str, list[str]]) -> list[str]:
    of_group = f" Choices of `{name}=`: {_listed(choices[name])}." if name in choices else ""
    parts = [f"## {name}\n", f"{schema.__doc__}{of_group}\n"]
    keys = [key for key in schema_keys().values() if key.name.startswith(f"{name}.")]
    return [*parts, _table(keys)]


def _own_keys(prefix: str, schema: type) -> list[Key]:
    return [key for key in keys_of(schema, prefix).values() if key.name.count(".") == prefix.count(".")]


def _groups(choices: dict[str, list[str]]) -> str:
    rows = ["| group | decides | choices |", "|---|---|---|"]
    for group, names in choices.items():
        rows.append(f"| `{group}` | {help.GROUPS.get(group, '')} | {_listed(help.folded(names))} |")
    return "\n".join(rows) + "\n"


def _table(keys: list[Key]) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    rows += [f"| `{key.name}` | {_value(key)} | {_default(key)} | {_meaning(key)} |" for key in keys]
    return "\n".join(rows) + "\n"


def _on_resume() -> str:
    rows = {
        words: _listed([key.name for key in schema_keys().values() if key.resume == kind])
        for kind, words in _MAY.items()
    }
    return _ON_RESUME + "".join(f"| {words} | {names} |\n" for words, names in rows.items())


def _meaning(key: Key) -> str:
    theirs = f" (kohya: {_listed(list(key.kohya))})" if key.kohya else ""
    return key.doc.replace("|", "/") + theirs


def _value(key: Key) -> str:
    if "choices" in key.limits:
        return _listed([written(choice) for choice in key.limits["choices"]])
    kind = f"list of {_KINDS[key.item]}s" if key.item else _KINDS[key.kind]
    kind = kind.replace("list of texts", "list of text")
    limits = [shape.format(key.limits[name]) for name, shape in _LIMITS.items() if name in key.limits]
    return ", ".join([kind, *limits, *(["or null"] if key.nullable else [])])


def _default(key: Key) -> str:
    if key.default == MISSING:
        return "yours to give"
    return f"`{written(key.default)}`" if key.default != "" else "(empty)"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
