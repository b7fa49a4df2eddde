"""What the trainer asks of an adapter, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from lorasweep.adapters.kinds.kind import adapter_kind

if TYPE_CHECKING:
    import torch
    from torch import nn

    from lorasweep.families.base import Base
    from lorasweep.schema import NetworkConfig


class Adapter(Protocol):
    """The trainable part of one version. Several may share one base; at most one of them is active."""

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the parts of the base that are adapted."""

    def activate(self) -> None:
        """Let this adapter take part in forwards and get gradients, and no other."""

    def disabled(self) -> AbstractContextManager[None]:
        """The bare base, for as long as the context lasts."""

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """All trainable parameters, by names that neither the adapter's name nor library releases change."""

    def state(self) -> dict[str, torch.Tensor]:
        """fp32 copies on the CPU of all parameters, under the names of `named_parameters`."""

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over what `state` returned; UserError unless names and shapes are exactly the adapter's."""

    def limit_norms(self) -> None:
        """Scale down each layer's update whose norm is above `network.max_norm`; called only where that is set."""

    def remove(self) -> None:
        """Take the adapter off the base."""


def build_adapter(base: Base, network: NetworkConfig, *, components: Sequence[str], seed: int, name: str) -> Adapter:
    """Add a new adapter of the kind `network.type` to `base` and make it the active one.

    Args:
        base: the model; its own weights are frozen.
        network: kind, rank, alpha, dropout and the layers adapted.
        components: names of the parts of the base that are adapted.
        seed: seed of the initial weights.
        name: what tells the adapters on one base apart.

    Raises:
        UserError: no module of a component is chosen by `network`.
    """
    kind = adapter_kind(network.type)
    adapter: Adapter = kind.build(base, network, components=components, seed=seed, name=name)
    return adapter
