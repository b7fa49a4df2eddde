"""Versions beside each other: which can be compared, in what they differ, which is best."""
