"""The page as one HTML text: template, looks, scripts, data and thumbnails, and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

LIBRARIES = ("d3-7.9.0.min.js", "img-comparison-slider-8.0.7.min.js")
SCRIPTS = (
    "data.js",
    "format.js",
    "columns.js",
    "view.js",
    "pick.js",
    "axes.js",
    "scores.js",
    "pictures.js",
    "controls.js",
    "grid.js",
    "gridcontrols.js",
    "lightbox.js",
    "table.js",
    "plots.js",
    "parallel.js",
    "scatter.js",
    "curves.js",
    "version.js",
    "page.js",
)
"""The page's own scripts in the order in which they run; each defines what those below it use."""
LIVE = "live.js"
"""The script that asks for news, on a served page only."""


@dataclass(frozen=True)
class Script:
    """A script in the page.

    Attributes:
        name: of its file.
        text: what it holds.
    """

    name: str
    text: str

    @property
    def digest(self) -> str:
        """Return what the page's security policy knows it by: no other script runs, whatever a caption holds."""
        return f"'sha256-{base64.b64encode(hashlib.sha256(self.text.encode()).digest()).decode()}'"


def render(data: Mapping[str, Any], thumbnails: Sequence[str], *, live: bool = False) -> str:
    """Return the page.

    Args:
        data: as `payload.payload` returns it.
        thumbnails: base64 of WebP for each cell, or "".
        live: whether a server shows it, which tells of new epochs.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("lorasweep.review.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = [*(f"vendor/{name}" for name in LIBRARIES), *SCRIPTS, *([LIVE] if live else [])]
    return environment.get_template("page.html.jinja").render(
        title=data["title"],
        style=_asset("page.css"),
        scripts=[Script(name, _asset(name)) for name in names],
        data=inline_json(data),
        thumbnails="\n".join(thumbnails),
        live=live,
    )


def inline_json(value: Any) -> str:
    """Return JSON that may stand in a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _asset(name: str) -> str:
    return (resources.files("lorasweep.review.page") / "assets" / name).read_text(encoding="utf-8")
