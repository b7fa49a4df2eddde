from __future__ import annotations

import errno
import json
import multiprocessing

import pytest
import torch
from safetensors import safe_open
from torch import nn

from lorasweep import files
from lorasweep.data.cache import TensorCache, precision
from lorasweep.errors import UserError


def entry(value: float = 1.0) -> dict[str, torch.Tensor]:
    return {"mean": torch.full((4, 8, 8), value), "half": torch.full((3,), value, dtype=torch.bfloat16)}


def never() -> dict[str, torch.Tensor]:
    raise AssertionError("computed although it is stored")


def the_file(folder):
    (path,) = folder.rglob("*.safetensors")
    return path


def test_computed_once_and_read_by_the_next_process(tmp_path):
    first = TensorCache(tmp_path).fetch({"what": "x", "n": 1}, entry)
    for cache in (TensorCache(tmp_path), TensorCache(tmp_path, memory_bytes=0)):
        again = cache.fetch({"n": 1, "what": "x"}, never)
        assert again.keys() == first.keys()
        for name, tensor in first.items():
            assert again[name].dtype == tensor.dtype
            assert torch.equal(again[name], tensor)


@pytest.mark.parametrize(
    "parts", [{"what": "y", "n": 1}, {"what": "x", "n": 2}, {"what": "x"}, {"what": "x", "n": "1"}]
)
def test_any_difference_is_another_entry(tmp_path, parts):
    cache = TensorCache(tmp_path)
    cache.fetch({"what": "x", "n": 1}, lambda: entry(1.0))
    assert cache.fetch(parts, lambda: entry(2.0))["mean"][0, 0, 0] == 2.0


def test_layout_on_disk(tmp_path):
    TensorCache(tmp_path / "deep" / "cache").fetch({"what": "x"}, entry)
    path = the_file(tmp_path)
    assert len(path.stem) == 64
    assert path.parent == tmp_path / "deep" / "cache" / path.stem[:2]
    with safe_open(path, "pt") as stored:
        assert json.loads(stored.metadata()["parts"]) == {"what": "x"}
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


def damage_end(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    "damage", [lambda c: b"", lambda c: c[:20], lambda c: c[:-3], lambda c: b"junk" * 50, damage_end]
)
def test_a_damaged_entry_is_made_again(tmp_path, damage):
    TensorCache(tmp_path).fetch({"what": "x"}, lambda: entry(1.0))
    path = the_file(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    calls = []

    def compute():
        calls.append(1)
        return entry(1.0)

    assert TensorCache(tmp_path).fetch({"what": "x"}, compute)["mean"].eq(1).all()
    assert calls == [1]
    assert TensorCache(tmp_path).fetch({"what": "x"}, never)["mean"].eq(1).all()


def test_entries_own_their_memory(tmp_path):
    large = torch.zeros(1000, 64, requires_grad=True)
    kept = TensorCache(tmp_path).fetch({"what": "x"}, lambda: {"row": large[3], "column": large[:, 3]})
    assert kept["row"].untyped_storage().nbytes() == 64 * 4
    assert kept["column"].is_contiguous()
    assert kept["row"].requires_grad is False


def test_memory_is_bounded_and_the_least_used_goes_first(tmp_path, monkeypatch):
    size = sum(tensor.nbytes for tensor in entry().values())
    cache = TensorCache(tmp_path, memory_bytes=2 * size)
    for number in (0, 1):
        cache.fetch({"n": number}, entry)
    cache.fetch({"n": 0}, never)  # used again: entry 1 is now the oldest
    cache.fetch({"n": 2}, entry)
    for path in tmp_path.rglob("*.safetensors"):
        path.unlink()
    cache.fetch({"n": 0}, never)
    cache.fetch({"n": 2}, never)
    with pytest.raises(AssertionError, match="although it is stored"):
        cache.fetch({"n": 1}, never)


def write_in_a_process(folder, start) -> None:
    torch.set_num_threads(1)
    start.wait(30)
    for number in range(20):
        cache = TensorCache(folder, memory_bytes=0)
        value = cache.fetch({"n": number}, lambda: entry(number))["mean"]  # noqa: B023
        assert value.eq(number).all()


def test_writers_at_the_same_time(tmp_path):
    context = multiprocessing.get_context("fork")
    start = context.Barrier(4)
    workers = [context.Process(target=write_in_a_process, args=(tmp_path, start)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 20
    for number in range(20):
        assert TensorCache(tmp_path).fetch({"n": number}, never)["mean"].eq(number).all()


def test_a_full_disk_is_said_plainly(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_safetensors", full)
    with pytest.raises(UserError, match=r"No space left on device.*set\s+dataset.cache"):
        TensorCache(tmp_path).fetch({"what": "x"}, entry)


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(UserError, match="cannot be written"):
        TensorCache(tmp_path / "cache").fetch({"what": "x"}, entry)


def test_precision():
    assert precision(nn.Linear(1, 1).to(torch.bfloat16)) == "torch.bfloat16"
