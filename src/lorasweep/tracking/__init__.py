"""Where a version's metrics, sample images and weights are logged: JSON lines, TensorBoard, W&B."""

from lorasweep.tracking.group import Trackers, open_trackers
from lorasweep.tracking.jsonl import read_rows
from lorasweep.tracking.tracker import Tracker

__all__ = ["Tracker", "Trackers", "open_trackers", "read_rows"]
