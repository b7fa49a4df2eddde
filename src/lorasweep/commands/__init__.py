"""The verbs of `lorasweep`, one file each."""
