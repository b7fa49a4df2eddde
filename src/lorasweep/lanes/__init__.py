"""Runs the jobs of a Hydra app: in this process, in child processes or on a cluster. Knows nothing of studies."""
