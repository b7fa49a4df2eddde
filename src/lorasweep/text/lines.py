"""Lines on a console."""

WARNING = "warning: "
"""How a line begins that tells what is hardly meant."""
