"""How a key of the schema is declared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from lorasweep.registry import Registry
from lorasweep.schema.need import Need

OnResume = Literal["refused", "free", "moved", "measured", "longer", "which"]
"""What another value of a key does to a version that is resumed:

refused: it decides what is learnt, so that the version keeps its own.
free: it decides where or how something is done, saved or shown, and changes nothing of what is learnt.
moved: it says where data or weights lie; what lies there must be the same.
measured: it decides how the version is measured or looked at; what was measured before no longer counts.
longer: it decides how long the run is; a new version begins from the old one.
which: it says which version is meant.
"""


def option(
    default: Any,
    doc: str,
    *,
    choices: Collection[Any] | None = None,
    registry: Registry[Any] | None = None,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    path: bool = False,
    needs: str | Sequence[str] = (),
    brought: bool = False,
    may_be_off: bool = False,
    overruled: bool = False,
    kohya: str | Sequence[str] = (),
    ss: str = "",
    aliases: str | Sequence[str] = (),
    meant: Mapping[str, Any] | None = None,
    resume: OnResume = "refused",
    measures: Sequence[str] = (),
) -> Any:
    """Declare one key: its default, its meaning, the values it takes, and all else that is known of it.

    Args:
        default: the value when nobody sets it; a list or dict is copied per instance.
        doc: one sentence for the config reference.
        choices: the only values allowed; a registry allows dotted names too, as far as `allow_code` covers them.
        registry: what its values are names in, where a check of its own holds them to that.
        above: exclusive lower limit.
        at_least: inclusive lower limit.
        below: exclusive upper limit.
        at_most: inclusive upper limit.
        path: it names a file or folder: `~` and `$NAME` are expanded.
        needs: what must hold for the key to change anything, each as `need.Need` reads it; set on the command line
            where it does not hold, the key is refused.
        brought: recipes and groups may bring the key along where it changes nothing; else they are told of it.
        may_be_off: false asks for nothing, though the key is on by default; so it need not act.
        overruled: another key wins over it, by what the documents say; set on the command line too, that is told.
        kohya: what kohya's sd-scripts call the same thing, with the same values.
        ss: the key of a weights file's metadata in which sd-scripts keep the same value.
        aliases: what others call it.
        meant: words that people give as its value -> the choice that is meant.
        resume: what another value does to a version that is resumed.
        measures: beginnings of the names of what it decides the measuring of, such as `val/`; `samples/` are the
            sample images. Versions that differ in it are not compared by these.
    """
    limits = {"choices": choices, "above": above, "at_least": at_least, "below": below, "at_most": at_most}
    metadata = {
        "doc": doc,
        "limits": {name: limit for name, limit in limits.items() if limit is not None},
        "registry": choices if isinstance(choices, Registry) else registry,
        "path": path,
        "needs": tuple(map(Need.parse, _several(needs))),
        "brought": brought,
        "may_be_off": may_be_off,
        "overruled": overruled,
        "kohya": _several(kohya),
        "ss": ss,
        "aliases": _several(aliases),
        "meant": dict(meant or {}),
        "resume": resume,
        "measures": tuple(measures),
    }
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def _several(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
