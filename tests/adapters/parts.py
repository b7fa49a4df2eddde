"""One component's share of an adapter's parameters."""

from torch import nn

from lorasweep.adapters.adapter import Adapter


def parameters_of(adapter: Adapter, component: str) -> list[nn.Parameter]:
    """Return the parameters of one component, in the base's order; empty when it isn't adapted."""
    named = adapter.named_parameters().items()
    return [parameter for name, parameter in named if name.startswith(f"{component}.")]
