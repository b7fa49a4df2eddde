"""The text of a caption file: Unicode is read, anything else is refused with the encoding that it seems to be in."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import Path

from lorasweep.text.shell import shell_quoted

_MARKS = (  # the longest first: UTF-32's little-endian mark begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONVERT = (
    "python -c \"import pathlib, sys; [f.write_text({text}, 'utf-8') for f in map(pathlib.Path, sys.argv[1:])]\" {path}"
)
_KANA = re.compile(r"[\u3040-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7a3\u3000-\u303f]*")
_HAN = re.compile(r"[\u4e00-\u9fff\u3000-\u303f\uff00-\uff65]*")
_CYRILLIC = re.compile(r"[\u0400-\u04ff\u00a0-\u00bf\u2010-\u2122]*")
_PREVIEW = 24  # characters


def decode(content: bytes) -> str:
    """Return the text of a file in UTF-8 (with or without mark), or in UTF-16 or UTF-32 with mark.

    Raises:
        UnicodeError: it is none of these; the text says which byte at which place.
    """
    try:
        text = content.decode(_marked(content) or "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnicodeError(f"byte 0x{content[error.start]:02x} at position {error.start}") from error
    if "\0" in text:
        raise UnicodeError(f"byte 0x00 at position {content.index(0)}")
    return text


def cure(path: Path, content: bytes) -> str:
    """Return how to make UTF-8 of a file that `decode` refuses, with the beginning of what comes out.

    The command takes several files.
    """
    if not content.strip(b"\0"):
        return "it holds nothing but zero bytes, write it again"
    if _text(content, "utf-8") is not None and 4 * content.count(0) < len(content):
        command = _CONVERT.format(text="f.read_text('utf-8').replace(chr(0), '')", path=shell_quoted(path))
        return f"take the zero bytes out with `{command}`"
    encoding = likely(content)
    # What is Unicode but for some bytes can only lose them.
    lossy = ", 'ignore'" if encoding in ("utf-8", _marked(content)) else ""
    text = content.decode(encoding, "ignore").strip()
    preview = text[:_PREVIEW] + ("..." if len(text) > _PREVIEW else "")
    command = _CONVERT.format(text=f"f.read_bytes().decode('{encoding}'{lossy})", path=shell_quoted(path))
    return (
        f'save it as UTF-8. As {encoding} it reads "{preview}": if that is right, run `{command}`, else put the name '
        "of its encoding there"
    )


def likely(content: bytes) -> str:
    """Return Python's name of the encoding that bytes are most likely in which `decode` refuses."""
    if marked := _marked(content):
        return marked
    if 0 in content:
        return max(_WIDE, key=lambda encoding: _ascii_share(content, encoding))
    if _broken_utf8(content):
        return "utf-8"
    return next(encoding for encoding, fits in _NARROW if (text := _text(content, encoding)) and fits(text))


def _marked(content: bytes) -> str | None:
    return next((name for mark, name in _MARKS if content.startswith(mark)), None)


def _ascii_share(content: bytes, encoding: str) -> float:
    """Return the share of ASCII among a text's characters; line ends and commas are in texts of every script."""
    text = _text(content, encoding)
    return sum("\0" < letter < "\x7f" for letter in text) / len(text) if text else -1.0


def _text(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _broken_utf8(content: bytes) -> bool:
    """Return whether most bytes beyond ASCII form UTF-8."""
    beyond = sum(byte > 0x7F for byte in content)
    whole = content.decode("utf-8", "ignore").encode()
    return 2 * sum(byte > 0x7F for byte in whole) > beyond


def _beyond_ascii(text: str) -> str:
    return "".join(letter for letter in text if letter > "\x7f")


def _consists_of(letters: re.Pattern[str]) -> Callable[[str], bool]:
    """Return a test whether all of a text's letters beyond ASCII are of a script."""
    return lambda text: letters.fullmatch(_beyond_ascii(text)) is not None


def _has(letters: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: letters.search(text) is not None


def _mostly_small(text: str) -> bool:
    """Return whether most letters are small: KOI8-R has capitals where Windows has small letters, and the reverse."""
    return sum(map(str.islower, text)) > sum(map(str.isupper, text))


def _scattered(text: str) -> bool:
    """Return whether letters beyond ASCII stand among others, as accents do in Western languages."""
    return re.search(r"[^\x00-\x7f]{2}", text) is None


_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_NARROW: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("cp932", _has(_KANA)),
    ("euc_jp", _has(_KANA)),
    ("cp1252", _scattered),
    ("cp949", _consists_of(_HANGUL)),
    ("gb18030", _consists_of(_HAN)),
    ("big5", _consists_of(_HAN)),
    ("koi8_r", lambda text: _consists_of(_CYRILLIC)(text) and _mostly_small(text)),
    ("cp1251", _consists_of(_CYRILLIC)),
    ("cp1252", bool),
    ("latin-1", bool),
)
