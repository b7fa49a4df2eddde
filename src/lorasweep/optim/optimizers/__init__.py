"""The optimizers, a file each: what one is built of, which constants it has, and what kohya's sd-scripts call it.

`schema.optimizer.OPTIMIZERS` has a line for each; `kind.OptimizerKind` says what such a line leads to.
"""
