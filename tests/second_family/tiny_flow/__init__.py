"""A family of models that is as unlike SDXL as it can be: pixels instead of latents, a flow, one text encoder.

It lives in the tests to show what a family of a user's own takes: these files, and no line in `src`.
"""

from tiny_flow.family import FAMILY

__all__ = ["FAMILY"]
