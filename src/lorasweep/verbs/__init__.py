"""The verbs of `lorasweep`, a file each: `add` declares what it takes."""
