"""Names that stand for code: whether it may run, and whether it can be imported."""

from __future__ import annotations

from collections.abc import Iterator

from lorasweep.errors import Problem, UserError
from lorasweep.registry import is_allowed, is_dotted
from lorasweep.schema import Config, Key, value_at


def refused(key: Key, config: Config) -> Iterator[Problem]:
    """Yield each name of a key that stands for code which its user does not allow, or which cannot be imported.

    Only a name that passes here may be looked up (`Registry.__getitem__`): that imports what it stands for.

    Args:
        key: any key; there is nothing to yield unless its values are names in a registry.
        config: a whole one.
    """
    registry, value = key.registry, value_at(config, key.name)
    if registry is None:
        return
    for name in value if isinstance(value, list) else [value]:
        given = f"{key.name}={name}"
        if name not in registry and is_dotted(name) and not is_allowed(name, config.allow_code):
            package = name.partition(":")[0].partition(".")[0]
            also = [*config.allow_code, package]
            yield Problem(
                f"{given} would run code of {package}: if you trust it, add allow_code=[{','.join(also)}]",
                key.name,
                "allow_code",
            )
        elif name in registry or is_dotted(name):
            try:
                registry[name]
            except UserError as error:
                yield from (Problem(f"{given}: {problem}", key.name) for problem in error.problems)
