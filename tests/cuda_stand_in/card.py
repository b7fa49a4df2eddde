"""A GPU that is not there: tensors that say they are on `cuda:0`, and hold their values in the CPU's memory.

Autograd, autocast for CUDA, gradient scaling and all Python code are the real ones; every operation is computed by the
CPU's kernel. What a real GPU refuses is refused: an operation on tensors here and there. What makes the program wait
for a real one is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
DEVICE = torch.device("cuda", 0)
GIB = 2**30

ACROSS = (aten.copy_, aten._to_copy, aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)
"""Operations that take tensors from here and there; an index may lie on the CPU."""

READS = {aten._local_scalar_dense: "read", aten.nonzero: "nonzero", aten.equal: "equal"}
"""Operations whose result the program waits for."""


class OnCard(Tensor):
    """A tensor on the pretended GPU.

    Args:
        held: its values, a plain tensor.
    """

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnCard:
        """Return a tensor of the same shape and layout that has no memory of its own."""
        return Tensor._make_wrapper_subclass(  # type: ignore[attr-defined, no-any-return]
            cls, held.size(), strides=held.stride(), dtype=held.dtype, layout=held.layout, device=DEVICE
        )

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"on card: {self.held!r}"

    def tolist(self) -> Any:
        """Return the values, once they are here."""
        return self.cpu().tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute where no mode is active: in the threads of the backward pass."""
        return compute(function, args, kwargs or {})


class Card(TorchDispatchMode):
    """Puts new tensors on the pretended GPU.

    Attributes:
        waits: what the program waited for, by kind and count: `to CPU`, `from CPU`, `read`, `synchronize`, ...
        launches: operations computed there, those that only look at a tensor in another way left out.
        pinned: tensors in pinned memory, by their ids.
    """

    current: Card | None = None

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.launches = 0
        self.pinned: dict[int, Tensor] = {}

    def pin(self, tensor: Tensor) -> Tensor:
        """Return a copy in pinned memory."""
        pinned = tensor.clone()
        self.pinned[id(pinned)] = pinned  # held, so that no other gets its id
        return pinned

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute an operation here or there."""
        return compute(function, args, kwargs or {})

    def count(self, function: Any, args: Any, kwargs: dict[str, Any], there: bool) -> None:
        """Count one operation."""
        packet = function.overloadpacket
        if packet in READS:
            self.waits[READS[packet]] += 1
        elif packet is aten._to_copy or packet is aten.copy_:
            source = args[packet is aten.copy_]
            if not there and isinstance(source, OnCard):
                self.waits["to CPU"] += 1
            elif there and not isinstance(source, OnCard) and source.dim() > 0:
                waits = not (kwargs.get("non_blocking") and id(source) in self.pinned)
                self.waits["from CPU"] += waits
        self.launches += not function.is_view


def compute(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute an operation with the CPU's kernel; where it is about the card, the result is there too.

    Raises:
        RuntimeError: its tensors are on different devices, as torch says it.
    """
    on_card: dict[int, OnCard] = {}
    here: list[Tensor] = []
    held = [_held(value, on_card, here) for value in args]
    named = {name: _held(value, on_card, here) for name, value in kwargs.items()}
    given, packet = kwargs.get("device"), function.overloadpacket
    there = bool(on_card) if given is None else given.type == "cuda"
    if not there and not on_card:
        return function(*args, **kwargs)
    if packet is aten.copy_:
        there = isinstance(args[0], OnCard)
    _check(function, on_card, here, kwargs.get("generator"), there)
    if Card.current is not None:
        Card.current.count(function, args, kwargs, there)
    if given is not None:
        named["device"] = torch.device("cpu")
    result = function(*held, **named)
    return _put(result, on_card) if there else result


def _held(value: Any, on_card: dict[int, OnCard], here: list[Tensor]) -> Any:
    """Return a value with what is on the card replaced by what it holds; note what is there and what is here."""
    if isinstance(value, OnCard):
        on_card[id(value.held)] = value
        return value.held
    if isinstance(value, Tensor):
        here.append(value)
    elif isinstance(value, list | tuple):
        return type(value)([_held(entry, on_card, here) for entry in value])
    return value


def _put(value: Any, on_card: dict[int, OnCard]) -> Any:
    """Return results on the card: what an operation changed in place is what it was."""
    if isinstance(value, Tensor):
        return on_card[id(value)] if id(value) in on_card else OnCard(value)
    if isinstance(value, list | tuple):
        return type(value)([_put(entry, on_card) for entry in value])
    return value


def _check(
    function: Any, on_card: dict[int, OnCard], here: list[Tensor], generator: torch.Generator | None, there: bool
) -> None:
    if function.overloadpacket in ACROSS:
        return
    if generator is not None and there and generator.device.type == "cpu":
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    if on_card and any(tensor.dim() > 0 for tensor in here):  # a single number may come from anywhere
        left, moved = ([tuple(tensor.shape) for tensor in tensors][:4] for tensors in (here, on_card.values()))
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
            f"{function}: {left} on the CPU beside {moved}"
        )


@contextmanager
def card(capability: tuple[int, int] = (8, 9)) -> Iterator[Card]:
    """Have a GPU in this process for as long as the context lasts.

    Args:
        capability: its compute capability, major and minor.
    """
    mode = Card()
    properties = SimpleNamespace(major=capability[0], minor=capability[1], total_memory=24 * GIB, name="Pretended")
    said: dict[str, Any] = {
        "is_available": True,
        "is_initialized": True,
        "_is_in_bad_fork": False,
        "device_count": 1,
        "current_device": 0,
        "get_device_name": "Pretended",
        "get_device_capability": capability,
        "get_device_properties": properties,
        "get_arch_list": [],
        "mem_get_info": (20 * GIB, 24 * GIB),
        "memory_reserved": 0,
        "empty_cache": None,
        "get_rng_state": torch.zeros(16, dtype=torch.uint8),
        "set_rng_state": None,
        "manual_seed_all": None,
        "_lazy_init": None,
        "device": nullcontext(),
    }
    with ExitStack() as stack:
        for name, value in said.items():
            stack.enter_context(patch.object(torch.cuda, name, lambda *_, value=value, **__: value))
        waited = patch.object(torch.cuda, "synchronize", lambda *_: mode.waits.update(["synchronize"]))
        stack.enter_context(waited)
        stack.enter_context(patch.object(Tensor, "pin_memory", lambda tensor, *_: mode.pin(tensor)))
        stack.enter_context(patch.object(Card, "current", mode))
        # Parts move by getting new parameters: into an old one no other kind of tensor can be put.
        before = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, before)
        # torch.tensor(..., device="cuda") makes a plain tensor, and then moves it.
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        stack.enter_context(mode)
        yield mode
