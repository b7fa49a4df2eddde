"""Who is voted on, and what may be compared."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

from PIL import Image

from lorasweep.runs import ledger
from lorasweep.votes.contenders import contenders, text_of


def test_versions_meet_where_all_but_the_version_is_the_same(root: Path) -> None:
    found = {one.key: one for one in contenders(ledger.versions(root))}
    assert list(found) == ["base 01234567", "bear/v1@1", "bear/v2@1", "bear/v3@1"]
    shared = {
        (one, other): len(found[one].pictures.keys() & found[other].pictures.keys())
        for one, other in combinations(found, 2)
    }
    assert shared["bear/v1@1", "bear/v2@1"] == 2 and shared["bear/v1@1", "bear/v3@1"] == 0
    assert shared["base 01234567", "bear/v3@1"] == 2  # the base was drawn with its settings too
    cells = list(found["bear/v2@1"].pictures)
    assert [text_of(cell) for cell in cells] == ["my_bear, red hat", "a dog"]
    assert Image.open(found["bear/v2@1"].pictures[cells[1]]).getpixel((0, 0)) == (2, 1, 1)
    assert found["bear/v2@1"].metrics == {"val/loss_ratio": 0.7}


def test_what_has_failed_or_has_no_samples_is_left_out(root: Path) -> None:
    first, second, _ = ledger.versions(root)
    first.record.status = "failed"
    first.record.write()
    for picture in (second.folder / "samples").glob("00000[12]_*.png"):
        picture.unlink()
    assert [one.key for one in contenders(ledger.versions(root))] == ["base 01234567", "bear/v3@1"]
