"""Pictures of a version: sample grids, before and after, curves. Each reads files and writes one PNG."""
