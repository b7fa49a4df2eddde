"""Training: from a checked config to a version folder with weights, samples and a record."""
