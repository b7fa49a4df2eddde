"""A write is whole or did not happen."""

import errno
import json
import os
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lorasweep import files


def test_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    files.write_json(path, {"step": 1})
    with pytest.raises(RuntimeError), files.writing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_the_target_is_untouched_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write_atomic(path, "old")
    with files.writing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_missing_folders_are_made(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "deep" / "er" / "a", b"\x00\x01")
    assert (tmp_path / "deep" / "er" / "a").read_bytes() == b"\x00\x01"


def test_a_full_disk_is_an_oserror_for_safetensors_too(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    files.write_safetensors(path, {"a": torch.ones(4)}, {"kept": "yes"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError) as caught:
            files.write_safetensors(path, {"a": torch.ones(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert torch.equal(load_file(path)["a"], torch.ones(4))
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".w.safetensors.12345678.tmp").write_text("half")
    (tmp_path / "w.safetensors").write_text("whole")
    files.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_weights_can_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "plain", "x")
    files.write_safetensors(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, {})
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_is_the_same_file_and_replaces_an_earlier_one(tmp_path: Path) -> None:
    source, target = tmp_path / "epoch", tmp_path / "selected"
    files.write_atomic(source, "new")
    files.write_atomic(target, "old")
    for _ in range(2):  # the second time they are one file already, and renaming would leave a third name
        files.link_or_copy(source, target)
        assert target.samefile(source) and target.read_text() == "new"
        assert {path.name for path in tmp_path.iterdir()} == {"epoch", "selected"}
    files.write_atomic(source, "later")
    assert target.read_text() == "new", "what is replaced as a whole leaves the other name its content"
    source.unlink()
    assert target.read_text() == "new"


def test_where_links_are_impossible_a_copy_takes_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "epoch", tmp_path / "selected"
    files.write_atomic(source, "new")

    def refuse(*paths: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    for _ in range(2):
        files.link_or_copy(source, target)
        assert target.read_text() == "new" and not target.samefile(source)
    assert {path.name for path in tmp_path.iterdir()} == {"epoch", "selected"}


def test_a_link_that_cannot_take_its_place_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "epoch", tmp_path / "selected"
    files.write_atomic(source, "new")
    files.write_atomic(target, "old")

    def interrupted(*paths: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.link_or_copy(source, target)
    assert target.read_text() == "old" and {path.name for path in tmp_path.iterdir()} == {"epoch", "selected"}
