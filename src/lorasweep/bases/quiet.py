"""Libraries that talk while they load, asked to keep to errors: what matters is said by the program itself."""

from __future__ import annotations

import logging
import os


def quiet_libraries() -> None:
    """Silence progress bars and advice of transformers, diffusers and bitsandbytes; errors still show."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.CRITICAL)
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (transformers_logging, diffusers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
