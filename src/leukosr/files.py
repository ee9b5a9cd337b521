"""Writing so that nothing is ever half-written: a temporary name first, then a rename."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from leukosr.errors import LeukoError


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any failure it is removed.

    Raises LeukoError when the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    with _writable(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes the place of `path`, else it is removed.

    Raises LeukoError when the parent cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    replaced = path.with_name(f".{path.name}.{os.getpid()}.old")
    with _writable(path):
        try:
            _clear_leftovers(path)
            temporary.mkdir(parents=True)
            yield temporary
            if path.exists():
                # moved aside first: removing many files takes long and may be interrupted half-way
                os.replace(path, replaced)
            os.replace(temporary, path)
        finally:
            if replaced.exists() and not path.exists():
                os.replace(replaced, path)
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(replaced, ignore_errors=True)


def _clear_leftovers(path: Path) -> None:
    """Remove the temporary folders of killed processes: DVC would count them to the folder that holds `path`."""
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d+)(\.old)?")
    for other in path.parent.iterdir() if path.parent.is_dir() else ():
        found = name.fullmatch(other.name)
        if found and (int(found[1]) == os.getpid() or not psutil.pid_exists(int(found[1]))):
            if found[2] and not path.exists():
                os.replace(other, path)  # killed between the two renames: this is the last good copy
            else:
                shutil.rmtree(other, ignore_errors=True)


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _REMEDIES:
            raise LeukoError(f"cannot write {path}: {error.strerror}; {_REMEDIES[error.errno]}") from error
        raise


_REMEDIES = {
    1: "make the folder writable for you",
    13: "make the folder writable for you",
    28: "free some space on the disk and run the command again",
    30: "the file system is read-only, choose another place for the project",
    122: "your disk quota is used up, free some space and run the command again",
}


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity raise ValueError: undefined is null."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
