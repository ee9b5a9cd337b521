"""Labels of `split.csv` that contradict the folders of their images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from leukosr.data.catalogue import SetFile
from leukosr.quoting import listed


def other_than_folders(files: Sequence[SetFile]) -> list[str]:
    """A sentence on the images that lie in a folder with the name of another class than theirs; else nothing.

    The labels count, in any case; names of folders and classes are compared without regard to case.
    """
    classes = {file.label.casefold() for file in files if file.label}
    other = []
    for file in files:
        folders = {name.casefold() for name in PurePosixPath(file.path).parent.parts}
        if file.label and file.label.casefold() not in folders and folders & classes:
            other.append(f"{file.path}: {file.label}")
    if not other:
        return []
    lie = "image lies" if len(other) == 1 else "images lie"
    return [f"{len(other)} {lie} in the folder of another class than split.csv says, which counts ({listed(other, 3)})"]
