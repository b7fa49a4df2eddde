"""Versions as trials of a study: here the search, which knows nothing of training, and the training meet."""
