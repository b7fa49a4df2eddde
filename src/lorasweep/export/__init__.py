"""Weights files that ComfyUI, A1111, sd-scripts and diffusers load, and the recipe inside each of them."""
