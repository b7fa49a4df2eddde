"""What is known of an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lorasweep.errors import Problem
from lorasweep.schema import Config, OptimizerConfig
from lorasweep.schema.optimizer import OPTIMIZERS

if TYPE_CHECKING:
    from torch.optim import Optimizer

ADAM: Mapping[str, float | None] = {"beta1": 0.9, "beta2": 0.999, "eps": None}
"""Constants of Adam and its kin."""

LION: Mapping[str, float | None] = {"beta1": 0.9, "beta2": 0.99}
"""Constants of Lion."""


@dataclass(frozen=True)
class KohyaClass:
    """An optimizer class as kohya's sd-scripts name it in a file, or one that comes near.

    Attributes:
        defaults: of our keys, what it takes where its arguments do not say.
        usual: its further arguments, with the values for which it does what ours does.
        assumed: what it takes for those of them that its arguments do not name, where that is something else.
        differs: what is another than ours in it; empty where it is the same.
        rate: whether its learning rate means the same as ours.
        constant: whether it takes no schedule.
        own_warmup: whether the steps of warmup are an argument of it.
    """

    defaults: Mapping[str, Any]
    usual: Mapping[str, Any] = field(default_factory=dict)
    assumed: Mapping[str, Any] = field(default_factory=dict)
    differs: str = ""
    rate: bool = True
    constant: bool = False
    own_warmup: bool = False


def no_refusals(config: Config) -> Iterator[Problem]:
    """Yield nothing: the optimizer goes with all that the schema allows."""
    yield from ()


@dataclass(frozen=True, kw_only=True)
class OptimizerKind:
    """What is known of an optimizer: how it is built, what it goes with, what its files say.

    An optimizer that trains at other points than those for use has methods `eval` and `train` that move its parameters
    between them, as schedulefree's have (`optim.schedule_free`).

    Attributes:
        build: (parameter groups, a learning rate that no group uses, its arguments) -> the optimizer.
        arguments: the arguments that follow from the config, in the order in which files name them.
        dotted: its class, as files name it, such as `torch.optim.adamw.AdamW`.
        constants: which of beta1, beta2 and eps it has. A number: it needs one, this is usual. None: null leaves it
            out, or takes the optimizer's own. What is missing must be null.
        group_state: what steps change in a parameter group, of which the state is kept. Other values of a group come
            from the config and the schedule.
        refusals: what of a whole config it does not go with.
        searches_rate: the key that tunes the rate where it finds that itself and multiplies it by `optimizer.lr`, one
            for all components; empty where `optimizer.lr` is the rate.
        smaller: an optimizer with the same constants that keeps a smaller state, offered where memory is short.
        package: the distribution that it comes from, for the record; empty where that is torch or transformers.
        kohya: its class and those near it in sd-scripts, by the classes' names.
    """

    build: Callable[[list[dict[str, Any]], float, dict[str, Any]], Optimizer]
    arguments: Callable[[OptimizerConfig], dict[str, Any]]
    dotted: str
    constants: Mapping[str, float | None]
    group_state: tuple[str, ...] = ()
    refusals: Callable[[Config], Iterator[Problem]] = no_refusals
    searches_rate: str = ""
    smaller: str = ""
    package: str = ""
    kohya: Mapping[str, KohyaClass] = field(default_factory=dict)


def optimizer_kind(name: str) -> OptimizerKind:
    """Return what is known of the optimizer of this name.

    Args:
        name: `optimizer.name` of a checked config.

    Raises:
        UserError: there is no such optimizer.
    """
    kind: OptimizerKind = OPTIMIZERS[name]
    return kind


def adam_arguments(config: OptimizerConfig) -> dict[str, Any]:
    """Return the arguments of Adam and its kin; `eps=null` is their own 1e-8."""
    return lion_arguments(config) | {"eps": 1e-8 if config.eps is None else config.eps}


def lion_arguments(config: OptimizerConfig) -> dict[str, Any]:
    """Return the arguments of an optimizer with two decays that divides by nothing."""
    return {"weight_decay": config.weight_decay, "betas": (config.beta1, config.beta2)}
