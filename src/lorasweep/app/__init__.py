"""What `train.py` does around a training: help, a look at the command line and the data, the run."""
