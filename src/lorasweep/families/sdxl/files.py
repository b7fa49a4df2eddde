"""The files of an SDXL, as `lorasweep.families.files.Files` asks for them."""

from lorasweep.families.sdxl.layout import config_source, kind, native_resolution, pixels_per_latent
from lorasweep.families.sdxl.problems import problems

__all__ = ["config_source", "kind", "native_resolution", "pixels_per_latent", "problems"]
