"""lorasweep: find good LoRAs of diffusion models by experiment."""

import logging
import os
import time

BEGAN = time.monotonic()
"""When this process came to lorasweep, before all that takes long to import."""

# Libraries that talk while they load are asked to keep to errors, before they are imported: what matters to the user
# is said by the program itself.
for variable, value in {
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}.items():
    os.environ.setdefault(variable, value)
for logger in ("bitsandbytes", "bitsandbytes.backends.cpu.ops"):
    logging.getLogger(logger).setLevel(logging.CRITICAL)
