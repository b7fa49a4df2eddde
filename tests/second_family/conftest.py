"""The family's package is on Python's path, as an installed one of a user's own is."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
