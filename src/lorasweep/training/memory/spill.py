"""Noticing that a GPU's memory has run over into the computer's: no error is raised then, steps only crawl.

Windows' drivers (WSL's too) move what does not fit to the computer's memory instead of failing.
"""

from __future__ import annotations

from lorasweep.training.memory.estimate import gib

FULL = 0.97
"""Share of the available memory from which on it counts as full."""

SLOW = 3.0
"""How many times slower than the fastest steps the present ones must be."""


class SpillWatch:
    """Looks at memory and pace together: a full memory alone is only well used, and a slow step may have many causes.

    Args:
        available: bytes of the GPU's memory that this process can have.
    """

    def __init__(self, available: int) -> None:
        self._available, self._fastest, self._warned = available, float("inf"), False

    def look(self, reserved: int, seconds: float) -> str | None:
        """Return what is wrong, in words and once; None while all is well.

        Args:
            reserved: bytes that torch holds on the GPU.
            seconds: mean of the latest steps.
        """
        self._fastest = min(self._fastest, seconds)
        if self._warned or reserved < FULL * self._available or seconds < SLOW * self._fastest:
            return None
        self._warned = True
        return (
            f"steps have become {seconds / self._fastest:.0f} times slower ({self._fastest:.2g} s -> {seconds:.2g} s) "
            f"with {gib(reserved)} in use of the {gib(self._available)} that were free: memory is spilling into the "
            "computer's own. Stop with Ctrl-C, and go on with less:"
        )
