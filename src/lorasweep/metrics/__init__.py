"""How good a version is: held-out loss, CLIP similarities, and the choice of its best epoch."""
