"""The trainable part that a version adds to its base."""
