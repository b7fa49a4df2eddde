"""From a command line to a checked config: what was typed, what Hydra makes of it, and what is wrong with it."""
