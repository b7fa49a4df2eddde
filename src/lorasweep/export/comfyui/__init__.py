"""Workflows for ComfyUI: a version's samples, drawn there with the files that it left."""
