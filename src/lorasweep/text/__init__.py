"""Text: durations, numbers and values, Hydra's override grammar, names, lines of a console."""
