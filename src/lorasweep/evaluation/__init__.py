"""How finished versions, and weights files from anywhere, are sampled and measured; nothing is drawn twice."""
