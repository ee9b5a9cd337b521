"""Atomic writing: a temporary name first, then a rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from leukosr.engine.this_process import this_host
from leukosr.errors import LeukoError

LONGEST_NAME = 64  # bytes of a name that its temporary name repeats; a file system may allow no more than 143
LONGEST_SUFFIX = 16


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, of its suffix; on success it replaces `path`, on failure it is removed.

    Raises LeukoError when the place cannot be written or the disk is full.
    """
    temporary = _temporary(path, path.suffix if len(os.fsencode(path.suffix)) <= LONGEST_SUFFIX else "")
    with explained_os_errors(path):
        _clear_files(path.parent.absolute())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes the place of `path`, else it is removed.

    Raises LeukoError when the parent cannot be written, the disk is full, `path` is a file or a link, or another
    process wrote it meanwhile, whose result then stays.
    """
    temporary, replaced = _temporary(path), _temporary(path, ".old")
    with explained_os_errors(path):
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            found = "link" if path.is_symlink() else "file"
            raise LeukoError(f"{path} is a {found} where a folder is to be written: remove it or choose another place")
        try:
            _clear_folders(path)
            temporary.mkdir(parents=True)
            yield temporary
            _swap(temporary, path, replaced)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if not path.exists() and replaced.exists():
                os.replace(replaced, path)
            shutil.rmtree(replaced, ignore_errors=True)


def _swap(temporary: Path, path: Path, replaced: Path) -> None:
    try:
        if path.exists():
            # moved aside first: removing many files takes long and may be interrupted half-way
            os.replace(path, replaced)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY):
            raise
        raise LeukoError(
            f"{path} was written by another process at the same time: its result stays, this one is dropped; run "
            "the command once more if that is not what you want"
        ) from error


def _temporary(path: Path, ending: str = "") -> Path:
    """A hidden name beside `path` that no other process uses, never longer than a file system allows."""
    return path.with_name(f".{_named(path)}.leukosr-{_host()}-{os.getpid()}{ending}")


def _named(path: Path) -> str:
    """The name of `path`, or a digest of a long one."""
    name = os.fsencode(path.name)
    return path.name if len(name) <= LONGEST_NAME else hashlib.sha256(name).hexdigest()[:32]


@cache
def _host() -> str:
    """This host as 8 hexadecimal digits."""
    return hashlib.sha256(this_host().encode()).hexdigest()[:8]


def _is_left_over(host: str, process: str) -> bool:
    """Whether the process that wrote a temporary file has ended; processes of other machines count as alive."""
    return host == _host() and (int(process) == os.getpid() or not psutil.pid_exists(int(process)))


def _clear_folders(path: Path) -> None:
    """Remove the temporary folders of killed processes: DVC would hash them with the folder that holds `path`."""
    name = re.compile(rf"\.{re.escape(_named(path))}\.leukosr-(\w{{8}})-(\d+)(\.old)?")
    for other in _entries(path.parent):
        found = name.fullmatch(other.name)
        if found and other.is_dir() and _is_left_over(found[1], found[2]):
            if found[3] and not path.exists():
                os.replace(other, path)  # killed between the two renames: this is the last good copy
            else:
                shutil.rmtree(other, ignore_errors=True)


@cache
def _clear_files(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; once per process, as folders may be large."""
    for other in _entries(folder):
        found = _TEMPORARY.fullmatch(other.name)
        if found and other.is_file() and int(found[2]) != os.getpid() and _is_left_over(found[1], found[2]):
            with suppress(OSError):  # another process may have removed it
                other.unlink()


def _entries(folder: Path) -> list[Path]:
    """The entries of a folder; none where it is missing or may not be listed."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


_TEMPORARY = re.compile(r"\..+\.leukosr-(\w{8})-(\d+)(\.[^.]*)?", re.DOTALL)


@contextmanager
def explained_os_errors(path: Path) -> Iterator[None]:
    """Turn an OSError about `path`, its folder or the disk into a LeukoError with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in _REMEDIES and _concerns(error, path):
            raise LeukoError(f"cannot write {path}: {error.strerror}; {_REMEDIES[error.errno]}") from error
        raise


def _concerns(error: OSError, path: Path) -> bool:
    """Whether an error is about `path`, a parent, a temporary file or no file by name, and not about an input."""
    if not isinstance(error.filename, str | bytes):
        return error.filename is None
    place = Path(os.fsdecode(error.filename))
    return place in (path, *path.parents) or any(_TEMPORARY.fullmatch(part) for part in place.parts)


_IN_THE_WAY = "a file is in the place of a folder, choose another place"
_REMEDIES = {
    errno.EPERM: "make the folder writable for you",
    errno.EACCES: "make the folder writable for you",
    errno.ENOSPC: "free some space on the disk and run the command again",
    errno.EROFS: "the file system is read-only, choose another place for the project",
    errno.EDQUOT: "your disk quota is used up, free some space and run the command again",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its links lead in a circle, choose another place",
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.EISDIR: "a folder is in the place of the file, remove it or choose another place",
}


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity raise ValueError: undefined is null."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
