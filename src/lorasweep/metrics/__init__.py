"""How good a version is, and the choice of its best epoch.

Each metric is declared in a file of its own (`heldout_loss`, `clip_similarity`, `training_loss`), which
`schema.measures.METRICS` has a line for; `heldout` and `clip` do the sums.
"""
