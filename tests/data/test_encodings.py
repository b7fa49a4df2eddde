"""Captions that are not Unicode: the encoding that the message names, and the command that it offers, are right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lorasweep.data.encodings import cure, decode


@pytest.mark.parametrize(
    "content",
    [
        "ein Bär".encode(),
        "ein Bär".encode("utf-8-sig"),
        "ein Bär".encode("utf-16"),
        b"\xfe\xff" + "ein Bär".encode("utf-16-be"),
        "ein Bär".encode("utf-32"),
        b"\x00\x00\xfe\xff" + "ein Bär".encode("utf-32-be"),
    ],
)
def test_encodings_that_are_read(content):
    assert decode(content) == "ein Bär"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("ein Bär".encode("latin-1"), "byte 0xe4 at position 5"),
        ("bear".encode("utf-16-le"), "byte 0x00 at position 1"),
        (b"\xff\xfeb\x00\x00\xd8", "byte 0x00 at position 4"),  # half of a pair
    ],
)
def test_what_is_wrong_with_the_others(content, fault):
    with pytest.raises(UnicodeError, match=f"^{re.escape(fault)}$"):
        decode(content)


FOREIGN = {
    "cp1252": ["ein Bär, im Schnee", "café à côté", "naïve — “quoted” text"],
    "cp932": ["熊のぬいぐるみ, 雪", "テディベア, アニメ"],
    "euc_jp": ["熊のぬいぐるみ, 雪の中"],
    "cp949": ["눈 속의 곰, 모자"],
    "gb18030": ["雪地里的熊，戴着帽子", "一只棕色的熊"],
    "big5": ["雪地裡的熊,戴著帽子"],
    "cp1251": ["Медведь в снегу, шапка"],
    "koi8_r": ["Медведь в снегу, шапка"],
    "utf-16-le": ["a bear, in snow", "雪の中の熊, 帽子"],
    "utf-16-be": ["a bear, in snow", "雪の中の熊, 帽子"],
    "utf-32-le": ["a bear", "雪, 熊"],
    "utf-32-be": ["a bear"],
}


def cured(path: Path) -> str:
    """Run the command that is offered for a file and return what the file then holds."""
    command = re.search(r"`(.*)`", cure(path, path.read_bytes()))
    assert command is not None
    subprocess.run(command[1].replace("python", sys.executable, 1), shell=True, check=True)
    return decode(path.read_bytes())


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in FOREIGN.items() for text in texts])
def test_the_command_offered_gives_the_text(tmp_path, encoding, text):
    path = tmp_path / "it's a bear.txt"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(UnicodeError):
        decode(path.read_bytes())
    assert f'it reads "{text}"' in cure(path, path.read_bytes()), "the user can see whether the guess is right"
    assert cured(path) == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("ein Bär, im Schnee".encode()[:-1] + b"\xff", "ein Bär, im Schne"),
        (b"\xff\xfe" + "a bear".encode("utf-16-le") + b"\x00\xd8", "a bear"),
        (b"a bear\0\n", "a bear\n"),
    ],
)
def test_unicode_with_broken_bytes_loses_only_these(tmp_path, content, text):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert cured(path).removeprefix("\ufeff") == text


def test_another_encoding_is_put_in_the_place_of_a_wrong_guess(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("αρκούδα".encode("cp1253"))
    offered = cure(path, path.read_bytes())
    assert offered.endswith(", else put the name of its encoding there") and "'cp1253'" not in offered
    command = re.search(r"`(.*)`", offered)
    assert command is not None
    mended = re.sub(r"decode\('\w+'\)", "decode('cp1253')", command[1]).replace("python", sys.executable, 1)
    subprocess.run(mended, shell=True, check=True)
    assert decode(path.read_bytes()) == "αρκούδα"


def test_nothing_is_made_of_zero_bytes(tmp_path):
    with pytest.raises(UnicodeError):
        decode(bytes(8))
    assert cure(tmp_path / "a.txt", bytes(8)) == "it holds nothing but zero bytes, write it again"


def test_a_long_text_is_shown_by_its_beginning(tmp_path):
    assert '"ein Bär ein Bär ein Bär ..."' in cure(tmp_path / "a.txt", ("ein Bär " * 9).encode("cp1252"))
