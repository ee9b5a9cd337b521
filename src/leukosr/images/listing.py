"""Listing the files of a user's folder: unusable files are listed, too, with the reason."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from leukosr.images.decoding import NO_IMAGE, SUFFIXES
from leukosr.outputs import MARKER

RESULTS = "holds results of an earlier command and was passed over; move it out of this folder to use its images"
TABLES = frozenset({"split.csv", "sources.csv"})  # of a set, in its root
# Thumbnails, indexes and bins of Windows, macOS (netatalk), Synology, QNAP and file systems, in lower case. Names that
# begin with a dot are hidden: .DS_Store and resource forks of macOS, .ipynb_checkpoints, .@__thumb, .Trash-1000 …
LEFT_BY_SYSTEMS = frozenset(
    {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "recycler", "icon\r"}
    | {"system volume information", "__macosx", "network trash folder", "temporary items", "lost+found"}
    | {"@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"}
)


@dataclass(frozen=True)
class Listed:
    """One file; `reason` says why it cannot be used, as far as that is known without opening it."""

    path: Path
    reason: str | None


def left_by_system(name: str) -> bool:
    """Whether a file or folder of this name is hidden or made by an operating system."""
    return name.startswith(".") or name.casefold() in LEFT_BY_SYSTEMS


def list_files(folder: Path, without: Path | None = None, *, results: bool = True) -> list[Listed]:
    """All files below a folder, sorted by path, except those of operating systems and the folder `without`.

    Linked folders are followed; each real folder is listed once. A folder that cannot be listed, and a link to one that
    is listed elsewhere or contains `folder`, are entries with a reason; so is, without `results`, a folder that LeukoSR
    wrote among other images, whose own images are then not listed.
    """
    around = folder.resolve().parents
    walked = set() if without is None else {without.resolve()}
    found: list[Listed] = []
    written: list[Path] = []
    errors: list[OSError] = []
    waiting = deque([folder])
    while waiting:  # linked folders come last, so that every folder is listed at its own place
        top = waiting.popleft()
        if (real := top.resolve()) in walked or real in around:
            found.append(Listed(top, f"is a link to {real}, which is listed elsewhere or contains it"))
            continue
        for here, folders, names in os.walk(top, onerror=errors.append):
            if (real := Path(here).resolve()) in walked:
                folders.clear()
                continue
            walked.add(real)
            if MARKER in names and here != str(folder):
                written.append(Path(here))
            folders[:] = sorted(name for name in folders if not left_by_system(name))
            waiting += [Path(here, name) for name in folders if os.path.islink(os.path.join(here, name))]
            below = here[len(str(folder)) :]
            found += [Listed(Path(here, name), _reason(below, name)) for name in names if not left_by_system(name)]
    found += [Listed(Path(error.filename), f"cannot be listed ({error.strerror})") for error in errors]
    return sorted(found if results else _passing_over(written, found), key=lambda item: item.path)


def _passing_over(results: list[Path], found: list[Listed]) -> list[Listed]:
    """Without the files of folders of results, unless there are no other images: then those are what is asked for."""
    others = [item for item in found if not set(results) & set(item.path.parents)]
    if not results or all(item.reason is not None for item in others):
        return found
    outermost = [each for each in results if not set(results) & set(each.parents)]
    return others + [Listed(each, RESULTS) for each in outermost]


def _reason(below: str, name: str) -> str | None:
    if not is_utf8(below + name):
        return "has a name that is not UTF-8: rename it"
    return None if Path(name).suffix.lower() in SUFFIXES else NO_IMAGE


def is_utf8(name: str) -> bool:
    """Whether a name can be written to a table; Python keeps the bytes of one that cannot as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
