"""What a version is trained for: from a batch to a loss for each of its images."""
