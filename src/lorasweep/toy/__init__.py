"""The toy world: drawn characters, a small base with every SDXL part, and a small CLIP, all shipped in the package.

The product knows the drawings as a provider of images only (`lorasweep.data.providers`), and the weights by their path
(`lorasweep.families.shipped`). The parts:

- `humanoids`, `themes`, `sets`: drawings, each with its attributes and a caption (Pillow only);
- `attributes`: the questions about a drawing that the toy CLIP can answer;
- `build`: the command that makes the weights, `python -m lorasweep.toy.build`.
"""
