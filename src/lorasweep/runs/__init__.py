"""Version folders: their numbers, locks, records and states, and what of them may leave the disk."""
