"""Hydra's configs of the search: `hydra/sweeper`, its samplers and pruners, `hydra/launcher=lanes`."""
