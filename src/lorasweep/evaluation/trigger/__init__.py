"""A trigger analysis: the same prompts with the trigger at several positions, misspelt and without it."""
