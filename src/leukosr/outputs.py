"""Folders that users name with --out: their content is the user's, unless the same command wrote it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from leukosr.engine.progress import say
from leukosr.engine.this_process import is_first
from leukosr.errors import LeukoError
from leukosr.files import explained_os_errors, write_json
from leukosr.layout import Layout
from leukosr.quoting import counted, listed, visible

MARKER = ".leukosr-output"  # names the command and the files that it wrote
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # what desktops leave in folders that were opened


@contextmanager
def claimed(
    out: Path, command: str, layout: Layout | None = None, *, adds: bool = False, reads: Sequence[Path] = ()
) -> Iterator[None]:
    """Let `command` write into `out`, a new or empty folder or an earlier result of it, and mark what it wrote.

    Files of an earlier run that this one does not write stay, and are reported unless the command `adds` to a folder.
    Raises LeukoError, and nothing is touched, where `out` is a link, a file, the project's folder or a parent of it,
    lies in a folder that the command `reads`, holds anything else, or belongs to DVC (`layout`). Of several processes
    only the first checks and marks.
    """
    if not is_first():
        yield
        return
    with explained_os_errors(out):
        _refuse_place(out, layout)
        _refuse_own_input(out, reads)
        _refuse_content(out, command)
        new = not out.exists()
        earlier = {file: _state(out / file) for file in files_below(out)}
        write_json(out / MARKER, {"command": command, "files": None})  # what a killed command leaves is also its own
    try:
        yield
    finally:
        if files := files_below(out) if out.is_dir() else []:
            write_json(out / MARKER, {"command": command, "files": files})
        else:
            (out / MARKER).unlink(missing_ok=True)
            if new and out.is_dir():
                out.rmdir()
    left = [file for file, state in earlier.items() if _state(out / file) == state]
    if left and not adds:
        say(visible(f"{out} also holds {counted(len(left), 'file')} of an earlier run ({listed(left, 3)})"))


def is_free_for(command: str, out: Path) -> bool:
    """Whether a folder is there and empty, or an earlier result of `command` to which nobody has added anything."""
    made_by, written = _marked(out)
    if made_by is None:
        return out.is_dir() and not files_below(out)
    return made_by == command and (written is None or written >= set(files_below(out)))


def _state(file: Path) -> tuple[int, int] | None:
    """Another value once a file has been written again, also by renaming; None where it is gone."""
    try:
        found = file.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _refuse_place(out: Path, layout: Layout | None) -> None:
    if out.is_symlink():
        raise LeukoError(f"{out} is a link: name the folder that it leads to, or a new one")
    place, here = out.resolve(), Path.cwd().resolve()
    if place == here or place in here.parents:
        raise LeukoError(f"{out} is the folder that the command runs in, or contains it: name a new folder")
    around = next(path for path in out.absolute().parents if path.exists())
    for folder in (around, out) if out.exists() else (around,):
        if not folder.is_dir():
            raise LeukoError(f"{folder} is a file: name a new folder to write into")
        if not os.access(folder, os.W_OK | os.X_OK):  # else a training of hours would fail at its end
            raise LeukoError(f"cannot write {out}: {folder} is read-only for you; name a folder elsewhere")
    for own in (layout.root, layout.report) if layout else ():
        if place == own.resolve() or own.resolve() in place.parents:
            raise LeukoError(
                f"{out} belongs to DVC, which keeps the study's results there: omit --out, or name a folder elsewhere"
            )


def _refuse_own_input(out: Path, reads: Sequence[Path]) -> None:
    """The next run would take the results of this one for input."""
    place = out.resolve()
    for folder in reads:
        if folder.is_dir() and folder.resolve() in (place, *place.parents):
            raise LeukoError(f"{out} lies in {folder}, which the command reads: name a folder elsewhere")


def _refuse_content(out: Path, command: str) -> None:
    made_by, written = _marked(out)
    if made_by not in (None, command):
        raise LeukoError(f"{out} holds results of `leukosr {made_by}`: remove it or name a new folder")
    entries = sorted({path.name for path in out.iterdir()} - LITTER) if out.is_dir() else []
    added = [file for file in files_below(out) if written is not None and file not in written]
    strange = entries if made_by is None else added
    if strange:
        raise LeukoError(
            f"{out} holds files that this command did not write ({listed(strange, 3)}): name a new folder, "
            "or move them away"
        )


def _marked(out: Path) -> tuple[str | None, frozenset[str] | None]:
    """The command that wrote a folder (None without a readable marker) and its files (None if it was killed)."""
    try:
        marker = json.loads((out / MARKER).read_text(encoding="utf-8"))
        return str(marker["command"]), None if marker["files"] is None else frozenset(marker["files"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None, frozenset()


def files_below(folder: Path) -> list[str]:
    """The files below a folder but the marker and litter, as sorted POSIX paths."""
    files = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in files if path.name not in LITTER | {MARKER})
