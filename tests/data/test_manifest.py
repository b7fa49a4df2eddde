"""What is said of data that has changed since."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lorasweep.data.manifest import Manifest, changes


def pictures(*names: str, **differing: Any) -> list[dict[str, Any]]:
    plain = {"caption": "c", "mask": "", "repeats": 1}
    return [{"file": f"{name}.png", "picture": name, **plain, **differing} for name in names]


def data(training: list[Any], heldout: list[Any] | None = None, regularisation: list[Any] | None = None) -> Manifest:
    return {"training": training, "heldout": heldout or [], "regularisation": regularisation or []}


BEFORE = data(pictures("a", "b", "c"), pictures("h"))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (data(pictures("a", "b", "c"), pictures("h")), []),
        (data([{**entry, "file": f"x/{entry['file']}"} for entry in BEFORE["training"]], pictures("h")), []),
        (
            data(pictures("c", "a", "b"), pictures("h")),
            ["the same images in another order: their files were renamed"],
        ),
        (
            data(pictures(*"abcdefg"), pictures("h")),
            ["4 images not there before: d.png, e.png, f.png and 1 more"],
        ),
        (data(pictures("a", "b"), pictures("h")), ["1 image gone: c.png"]),
        (
            data([*pictures("a", "b"), *pictures("c", caption="d")], pictures("h")),
            ["1 image with another caption: c.png"],
        ),
        (
            data([*pictures("a", "b"), *pictures("c", mask="m", repeats=2)], pictures("h")),
            ["1 image with another mask: c.png", "1 image with other repeats: c.png"],
        ),
        (
            data(pictures("a", "b", "h"), pictures("c")),
            ["1 image trained on now, held out before: h.png", "1 image held out now, trained on before: c.png"],
        ),
        (data(pictures("a", "a", "b", "c"), pictures("h")), ["1 image not there before: a.png"]),
        (
            data(pictures("a", "b", "c"), pictures("h"), pictures("r")),
            ["1 image not there before: r.png"],
        ),
    ],
)
def test_what_has_changed_is_said_with_its_files(now: Manifest, expected: list[str]) -> None:
    assert changes(json.loads(json.dumps(BEFORE)), now) == expected
