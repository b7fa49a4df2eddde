"""How much memory a run takes, said before it starts, and what to do where it is not enough."""
