"""Labels of `split.csv` that contradict the folders of their images."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from leukosr.data.catalogue import SetFile
from leukosr.data.split_table import NAME as SPLIT
from leukosr.quoting import listed
from leukosr.tables import spelling_key


def other_than_folders(root: Path, files: Sequence[SetFile]) -> list[str]:
    """A sentence on images of a set with a split.csv that lie in the folder of another class than theirs; else nothing.

    Of several folders the innermost that is named like a class counts. A label that has the words of the folder's name
    (`band_neutrophil` in `neutrophil`) is finer, not another.
    """
    if not (root / SPLIT).is_file():
        return []
    classes = {_plain(file.label) for file in files if file.label}
    other = []
    for file in files:
        folders = [_plain(name) for name in PurePosixPath(file.path).parent.parts]
        within = next((name for name in reversed(folders) if name in classes), None)
        if file.label and within is not None and not _words(within) <= _words(_plain(file.label)):
            other.append(f"{file.path}: {file.label}")
    if not other:
        return []
    lie = "image lies" if len(other) == 1 else "images lie"
    return [
        f"{len(other)} {lie} in the folder of one class, but split.csv gives another ({listed(other, 3)}); "
        "split.csv is used"
    ]


def _plain(name: str) -> str:
    """A name in a table and that of its folder, in whatever Unicode form, are the same."""
    return spelling_key(unicodedata.normalize("NFC", name))


def _words(name: str) -> set[str]:
    return set(re.split(r"[\W_]+", name))
