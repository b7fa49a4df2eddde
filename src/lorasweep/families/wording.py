"""What a library says of a part that it cannot load, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lorasweep.errors import UserError


@contextmanager
def refusing(given: str, expected: str) -> Iterator[None]:
    """Turn any loader's complaint about a part into one line that names what was given."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{given} cannot be loaded ({type(error).__name__}: {first_line}): expected {expected}"
        ) from error
