"""What image models see in pictures and texts: features of both, and of parts of pictures; a file per kind of model."""
