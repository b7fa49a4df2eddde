"""Train a version of a LoRA: `python train.py lora=fuzzybear network.rank=8`; with -m, one for each value."""

import sys

from lorasweep.app import launch
from lorasweep.text.shell import shell_quoted

if __name__ == "__main__":
    sys.exit(launch.main(sys.argv[1:], f"python {shell_quoted(sys.argv[0])}"))
