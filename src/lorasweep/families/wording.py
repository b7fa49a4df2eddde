"""What a library says of a part that it cannot load, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lorasweep.errors import UserError
from lorasweep.text.exceptions import first_line


@contextmanager
def refusing(given: str, expected: str) -> Iterator[None]:
    """Turn any loader's complaint about a part into one line that names what was given."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{given} cannot be loaded ({first_line(error)}): expected {expected}") from error
