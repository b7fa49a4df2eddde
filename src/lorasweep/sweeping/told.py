"""How the sweeper and the lanes end where the user has to put something right."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lorasweep.errors import USER_ERROR, UserError


@contextmanager
def in_words() -> Iterator[None]:
    """Let a UserError end the program with its text alone on stderr; HYDRA_FULL_ERROR=1 shows where it was raised.

    Raised through Hydra, it would be followed by Hydra's advice to ask for a traceback.

    Raises:
        SystemExit: with exit code 2.
    """
    try:
        yield
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(error.render(), file=sys.stderr)
        raise SystemExit(USER_ERROR) from error
