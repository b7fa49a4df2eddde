"""How good a version is, and the choice of its best epoch.

Each metric is declared in a file of its own, which `schema.measures.METRICS` has a line for: `heldout_loss`,
`training_loss`, and those of images, which are measured on `evidence` through feature models and give `figures`.
"""
