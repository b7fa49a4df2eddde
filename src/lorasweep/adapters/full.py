"""All weights of the base's parts: a full fine-tune behind the same protocol as an adapter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lorasweep.adapters.state import copies, take_over
from lorasweep.adapters.targets import chosen_parts, is_adapter_weight
from lorasweep.errors import UserError
from lorasweep.schema import NetworkConfig

if TYPE_CHECKING:
    from lorasweep.families.base import Base

_TRAINED = "_trained_whole_by"


class FullAdapter:
    """The weights of whole parts of a base, trained in place; what they were is kept in the CPU's memory.

    A base has one set of weights, so it takes one of these, and no other adapter beside it. Its parts must be in 32
    bit: in 16, most updates of an optimizer are smaller than the last digit of a weight and vanish.
    """

    def __init__(self, base: Base, network: NetworkConfig, *, components: Sequence[str], seed: int, name: str) -> None:
        """Let the parts `components` of `base` be trained; everything else stays frozen.

        Args:
            base: its parts to train are in 32 bit.
            network: without effect, as nothing is added.
            seed: without effect, as nothing is drawn.
            components: names of parts of the base.
            name: what messages call it.

        Raises:
            UserError: something else is already trained on this base, or a part is in 16 bit.
            ValueError: a component is unknown.
        """
        self.components = tuple(part.name for part in chosen_parts(base.family.parts, components))
        self._base = base
        _check_free(base, self.components, name)
        for module in base.modules.values():
            module.requires_grad_(False)
        self._parts = {component: base.modules[component] for component in self.components}
        self._original = {
            key: parameter.detach().to("cpu", copy=True) for key, parameter in self.named_parameters().items()
        }
        for component, module in self._parts.items():
            module.requires_grad_(True)
            setattr(module, _TRAINED, f"{name} ({component})")

    def activate(self) -> None:
        """Do nothing: these weights are the base's, and the only ones."""

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Give the base as it was, for as long as the context lasts; the trained weights wait in the CPU's memory."""
        trained = self.state()
        self._put(self._original)
        try:
            yield
        finally:
            self._put(trained)

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """Return all trained parameters by component and path, such as `unet.conv_in.weight`."""
        return {
            f"{component}.{name}": parameter
            for component, module in self._parts.items()
            for name, parameter in module.named_parameters()
        }

    def state(self) -> dict[str, Tensor]:
        """Return fp32 copies on the CPU of all trained parameters, by the names of `named_parameters`."""
        return copies(self.named_parameters())

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over the values of `state`, all or none.

        Raises:
            UserError: a name is missing or unknown, or a shape is not the base's.
        """
        take_over(self.named_parameters(), state, cure="train on the base that these weights were trained on")

    def limit_norms(self) -> None:
        """Do nothing: there is no update beside the weights whose norm could be limited."""

    def remove(self) -> None:
        """Give the base its weights of before back, frozen and without gradients."""
        self._put(self._original)
        for module in self._parts.values():
            module.requires_grad_(False)
            module.zero_grad(set_to_none=True)  # a step that ran out of memory leaves some, as large as the weights
            delattr(module, _TRAINED)
        self._parts, self._original = {}, {}

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.named_parameters().items():
            parameter.copy_(values[name])


def _check_free(base: Base, components: Sequence[str], name: str) -> None:
    """Refuse a base that something else is trained on, or whose parts are in 16 bit."""
    for module in base.modules.values():
        holder = getattr(module, _TRAINED, None)
        if holder or any(is_adapter_weight(key) for key, _ in module.named_parameters()):
            raise UserError(
                f"{name}: network=full trains the base itself, and {holder or 'an adapter'} is on it already: train "
                "them one after the other"
            )
    for component in components:
        dtype = next(base.modules[component].parameters()).dtype
        if dtype != torch.float32:
            raise ValueError(f"{component} is in {dtype}; a full fine-tune needs torch.float32")
