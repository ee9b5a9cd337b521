"""Paths in tables: they stay below their folder, and either kind of slash is understood."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from unicodedata import normalize


def stays_below(path: str) -> bool:
    """Whether a path names something below the folder that it is joined to, on POSIX systems and on Windows.

    A link may still lead elsewhere: DVC's `cache.type symlink` keeps every image so.
    """
    windows = PureWindowsPath(path)
    ends = PurePosixPath(path).name not in ("", "..") and "\0" not in path
    return ends and not windows.drive and not windows.root and ".." not in windows.parts


def readings(path: str) -> Iterator[str]:
    """What a path of a table may mean, the most literal first, without `.` parts.

    As written, with Windows' backslashes as slashes, and with accents in composed and decomposed form (macOS's).
    """
    slashes = path.replace("\\", "/")
    for text in (path, slashes, normalize("NFC", slashes), normalize("NFD", slashes)):
        yield str(PurePosixPath(text))


def find_file(root: Path, path: str) -> str:
    """The file below `root` that a path of a table means; where there is none, the path with slashes."""
    # os.path.isfile: Path.is_file raises where a name is too long
    return next((name for name in readings(path) if os.path.isfile(root / name)), path.replace("\\", "/"))
