"""No adapter: all weights of the base's parts."""

from __future__ import annotations

from typing import Any

from lorasweep.adapters.kinds.kind import AdapterKind


def build(*args: Any, **options: Any) -> Any:
    """Let parts of a base be trained whole."""
    from lorasweep.adapters.full import FullAdapter

    return FullAdapter(*args, **options)


ADAPTER = AdapterKind(build=build)  # an optimizer needs the base's own weights: no quantization
