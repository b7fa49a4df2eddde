"""bitsandbytes' optimizers, without the waits that only paged states need."""

from __future__ import annotations

from typing import Any


def optimizers() -> Any:
    """Return the module `bitsandbytes.optim`.

    It waits for the GPU after every parameter, which only paged states need: they are moved behind torch's back. Its
    kernels run on the default stream, as all else here, and so in order.
    """
    import bitsandbytes.optim

    bitsandbytes.optim.optimizer.sync_gpu = lambda tensor: None
    return bitsandbytes.optim
