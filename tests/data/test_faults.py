from __future__ import annotations

from pathlib import Path

from lorasweep.data.faults import LISTED, Fault, problems_of


def test_of_many_faults_of_a_kind_the_first_are_told():
    many = [Fault("has no caption", Path(f"{number:03}.png"), "images without a caption") for number in range(300)]
    lines = problems_of([Fault("one of its own", Path("a.png")), *many, Fault("dataset.path=x is a file")])
    assert lines[0] == "a.png: one of its own" and "dataset.path=x is a file" in lines
    assert sum("has no caption" in line for line in lines) == LISTED
    assert lines[-1] == "... and 290 more files: images without a caption"


def test_a_few_are_all_told():
    faults = [Fault(f"fault {number}", Path("a.png")) for number in range(50)]
    assert len(problems_of(faults)) == 50
