"""A trigger study: the same prompts with the trigger at several places, misspelt and without it."""
