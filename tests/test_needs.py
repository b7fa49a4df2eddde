"""A key that changes nothing where it stands is refused on the command line, and told where a file brings it along.

Every need that is declared is broken and fulfilled once.
"""

from __future__ import annotations

from typing import Any

import pytest

from lorasweep.checks import check
from lorasweep.checks.needs import unmet_remarks
from lorasweep.compose.composition import load_config
from lorasweep.errors import UserError
from lorasweep.schema import Config, Key, schema_keys, value_at
from lorasweep.schema.need import Condition, Need

NEEDY = [(key, need) for key in schema_keys().values() for need in key.needs]
OTHER = {int: 7, float: 0.7, str: "other", list: ["other"]}
AT_LEAST_1 = ("network.alpha", "sampling.guidance", "base_model.guidance")


def put(config: Config, key: str, value: Any) -> None:
    *groups, last = key.split(".")
    setattr(value_at(config, ".".join(groups)) if groups else config, last, value)


def another(key: Key) -> Any:
    """Return a value that is not the key's default and asks for something."""
    choices = [choice for choice in key.limits.get("choices", ()) if choice not in (key.default, None)]
    if key.kind is bool:
        return not key.default or key.may_be_off
    return choices[0] if choices else 7.0 if key.name in AT_LEAST_1 else OTHER[key.kind]


def fulfil(config: Config, condition: Condition) -> None:
    key = schema_keys()[condition.key]
    value = condition.values[0] if condition.values else True if key.kind is bool else OTHER[key.kind]
    if condition.but:
        value = next(choice for choice in key.limits["choices"] if choice not in condition.but)
    if condition.above is not None:
        value = {"dataset.max_tokens": 150}.get(key.name, 2)
    put(config, condition.key, value)


def break_(config: Config, condition: Condition) -> None:
    key = schema_keys()[condition.key]
    if condition.above is not None:
        value: Any = {"dataset.max_tokens": 75}.get(key.name, 1)
    elif condition.but:
        value = condition.but[0]
    elif condition.values:
        choices = key.limits.get(
            "choices", (True, False) if key.kind is bool else (7,) if key.kind is int else ("set",)
        )
        value = next(choice for choice in choices if choice not in condition.values)
    else:
        value = {bool: False, list: []}.get(key.kind, None if key.nullable else 0 if key.kind in (int, float) else "")
    put(config, condition.key, value)


def idle(config: Config, key: str, given: set[str] | None) -> list[str]:
    return [p for p in check(config, given) if p.keys[:1] == (key,) and "changes nothing" in p]


def said_of(key: Key, config: Config, given: set[str]) -> list[str]:
    return [line for line in unmet_remarks(config, given) if line.startswith(f"{key.name}=")]


def prepared(key: Key, broken: Need | None) -> Config:
    """Return a config that sets a key, fulfils what it needs, and breaks one of these needs."""
    config = Config(name="Sage")
    for need in key.needs:
        for condition in need.conditions:
            fulfil(config, condition)
    for condition in broken.conditions if broken else ():
        break_(config, condition)
    put(config, key.name, another(key))
    return config


@pytest.mark.parametrize(("key", "need"), NEEDY, ids=[f"{key.name} {need.keys}" for key, need in NEEDY])
def test_each_need(key: Key, need: Need) -> None:
    config = prepared(key, need)
    refused, said = idle(config, key.name, {key.name}), said_of(key, config, {key.name})
    assert (len(refused), len(said)) == ((0, 1) if key.overruled else (1, 0))
    assert all(name.removesuffix(".name").removesuffix(".type") in (refused + said)[0] for name in need.keys)
    assert idle(prepared(key, None), key.name, {key.name}) == said_of(key, prepared(key, None), {key.name}) == []
    assert len(said_of(key, config, set())) == (not key.brought)
    assert len(idle(config, key.name, None)) == (not key.brought)


def test_what_is_switched_off_need_not_act() -> None:
    config = Config(name="Sage")
    keys = {"network.dropout", "loss.noise_offset_random", "dataset.keep_tokens", "dataset.holdout"}
    config.network.type, config.sampling.every_epochs = "full", 0
    config.dataset.holdout = 0.0
    assert not [problem for problem in check(config, keys) if "changes nothing" in problem]


@pytest.mark.usefixtures("composed_configs", "elsewhere")
def test_a_preset_that_cannot_act_whole_is_no_mistake_but_its_option_on_the_command_line_is() -> None:
    line = ["lora=food", "preset=quality", "network=loha"]
    config = load_config(line)
    assert unmet_remarks(config, {"network"}) == [
        "network.dropout=0.1 changes nothing with network=loha; it is for lora"
    ]
    with pytest.raises(UserError, match=r"network\.dropout=0\.2 changes nothing with network=loha"):
        load_config([*line, "network.dropout=0.2"])
