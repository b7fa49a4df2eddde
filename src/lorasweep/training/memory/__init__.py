"""How much memory a training takes, said before it starts, and what to do where it is not enough."""
