from __future__ import annotations

import errno
import json
import multiprocessing
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open

from lorasweep import files
from lorasweep.data import cache as cache_module
from lorasweep.data.cache import TensorCache
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
    cache = TensorCache(tmp_path)
    for _ in range(2):
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


def test_an_entry_is_checked_when_it_is_first_read(tmp_path, monkeypatch):
    TensorCache(tmp_path).fetch({"what": "x"}, entry)
    checked, checksum = [], cache_module._checksum
    monkeypatch.setattr(cache_module, "_checksum", lambda found: checked.append(found) or checksum(found))
    cache = TensorCache(tmp_path)
    for _ in range(3):
        cache.fetch({"what": "x"}, never)
    assert len(checked) == 1


def test_encoding_many_images_needs_no_more_memory_than_one(tmp_path):
    """Small entries that live on between large temporary tensors would split the heap: it must stay as it is."""
    lines = subprocess.run(
        [sys.executable, "-c", ENCODE_MANY, str(tmp_path)], check=True, capture_output=True, text=True
    ).stdout.split()
    first, last = (int(line) for line in lines)
    assert last - first < 32 << 20, f"{(last - first) >> 20} MiB more after 600 images"


ENCODE_MANY = """
import os, sys, torch
from torch import nn
from lorasweep.data.cache import TensorCache

torch.set_num_threads(1)
layers = nn.Conv2d(3, 32, 3, padding=1), nn.SiLU(), nn.Conv2d(32, 32, 3, 2, 1), nn.Conv2d(32, 4, 3, 2, 1)
encoder = nn.Sequential(*layers)


def encode():
    with torch.no_grad():
        return {"mean": encoder(torch.rand(1, 3, 64, 64))[0], "std": encoder(torch.rand(1, 3, 64, 64))[0]}


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


cache = TensorCache(sys.argv[1])
for number in range(50):
    cache.fetch({"n": number}, encode)
print(resident())
for number in range(50, 650):
    cache.fetch({"n": number}, encode)
print(resident())
"""


def write_in_a_process(folder, start) -> None:
    torch.set_num_threads(1)
    start.wait(30)
    for number in range(20):
        cache = TensorCache(folder)
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


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_told_and_not_kept(tmp_path, value):
    def overflowing():
        return {"mean": torch.tensor([0.0, value])}

    cache = TensorCache(tmp_path)
    with pytest.raises(UserError, match=r"a\.png, encoded by the VAE, gives NaN or infinity"):
        cache.fetch({"what": "x"}, overflowing, "a.png, encoded by the VAE")
    assert cache.fetch({"what": "x"}, entry)["mean"].isfinite().all()


def test_what_an_earlier_release_kept_of_no_numbers_is_made_again(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("lorasweep.data.cache.is_finite", lambda tensor: True)
        TensorCache(tmp_path).fetch({"what": "x"}, lambda: {"mean": torch.tensor([float("nan")])})
    assert TensorCache(tmp_path).fetch({"what": "x"}, entry)["mean"].isfinite().all()
