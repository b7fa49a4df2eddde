"""What Hydra finds at its start: the search path of our configs, the Optuna sweeper, the lanes launcher.

Hydra imports every module here each time any Hydra app starts, so they import nothing heavy.
"""
