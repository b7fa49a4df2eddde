"""What writes and reads files knows no family: layers without groups of their own, and no part of SDXL by its name."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lorasweep.export.layer_sizes import Size, rank_settings

EXPORT = Path(__file__).resolve().parents[2] / "src" / "lorasweep" / "export"
NAMED = ("sd_scripts", "metadata.py", "comfyui")
"""Where the names of kohya's own keys stand, such as `ss_unet_lr`, and ComfyUI's graphs, which are of one family."""


def test_layers_of_a_family_without_groups_are_taken_one_by_one() -> None:
    naming: Any = SimpleNamespace(parts=[SimpleNamespace(name="body")], groupings=())
    sizes = {"body.a": Size(4, 4), "body.b": Size(4, 4), "body.c": Size(8, 4)}
    assert rank_settings(sizes, naming) == {
        "network.rank": 4,
        "network.alpha": 4.0,
        "network.ranks": [r"^body\.c$:8/4"],
    }


def test_no_code_names_a_part_of_sdxl() -> None:
    for path in EXPORT.rglob("*.py"):
        if any(place in path.parts for place in NAMED):
            continue
        code = re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"sdxl|unet|text_encoder|\bte[12]\b", code, re.IGNORECASE), path
