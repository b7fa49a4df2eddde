"""`python -m lorasweep`: the same as `lorasweep`."""

import sys

from lorasweep.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
