"""Writing files so that a crash, a kill or a full disk never leaves half of one behind."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorasweep.text.encoding import all_readable, json_text, readable

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def writing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it becomes `path`, on failure it is removed.

    The content is on disk (fsync) before the rename, and the rename before this returns, so a reader finds either
    the old file or the whole new one.

    Raises:
        OSError: whatever writing raised (no space, no permission); an earlier `path` is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Random, not the process id: threads share that, and so can containers that share a folder.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as the user's umask has it; safetensors lets nobody else read its files
        yield temporary
        temporary.chmod(mode)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def writing_folder(folder: Path | str) -> Iterator[Path]:
    """Give an empty temporary folder beside `folder`; on success it becomes `folder`, on failure it is removed.

    An earlier `folder` is replaced; a crash in that moment can leave none, but never a part of either.

    Raises:
        OSError: whatever writing raised; an earlier `folder` is untouched.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        for path in [*temporary.rglob("*"), temporary]:
            _sync(path)
        if folder.exists():
            earlier = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
            os.replace(folder, earlier)
            os.replace(temporary, folder)
            shutil.rmtree(earlier, ignore_errors=True)
        else:
            os.replace(temporary, folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def link_or_copy(source: Path, target: Path) -> None:
    """Let `target` be the same file as `source` under a second name, atomically; a copy where links are impossible.

    For files that are only ever replaced as a whole, as everything here is: what is written into one of the names
    changes what the other one reads.

    Raises:
        OSError: neither can be done (no space, no permission); an earlier `target` is untouched.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    if target.exists() and target.samefile(source):
        return  # renaming one name of a file to another does nothing, and would leave the first
    try:
        os.link(source, temporary)
    except OSError:  # other file systems, some network shares
        with writing(target) as temporary:
            shutil.copyfile(source, temporary)
        return
    try:
        os.replace(temporary, target)
        _sync(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomic(path: Path | str, data: bytes | str) -> None:
    """Write `data` as the whole content of `path`, atomically; a text in UTF-8, as `readable` has it."""
    content = readable(data).encode() if isinstance(data, str) else data
    with writing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_atomic(path, json_text(value, indent=2) + "\n")


def write_safetensors(path: Path | str, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and metadata as a safetensors file, atomically.

    Raises:
        OSError: the disk is full or the like (safetensors reports these as an error of its own).
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with writing(path) as temporary:
        try:
            save_file(tensors, temporary, all_readable(metadata))
        except SafetensorError as error:
            if found := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from None
            raise


def sha256_of(*paths: Path) -> str:
    """Return the SHA-256 of the contents of `paths`, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files and folders that a killed process left in `folder`; nothing that is another's."""
    pattern = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
    return [path for path in folder.glob(".*.tmp") if pattern.fullmatch(path.name)]


def remove_leftovers(folder: Path) -> None:
    """Remove what `leftovers` finds in `folder`."""
    for leftover in leftovers(folder):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
