"""Stable Diffusion XL: its parts, its files and the names in them."""
