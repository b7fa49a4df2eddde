"""What `train.py` does: help, a look at the command line and the data, the run."""
