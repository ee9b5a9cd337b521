"""Folders of a set that are its training and its test part, known by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from leukosr.data.split_table import NAME as SPLIT
from leukosr.errors import LeukoError
from leukosr.images.listing import is_utf8, left_by_system
from leukosr.quoting import listed, visible

_PART = re.compile(r"(train|test|val)(?:ing|id|idation)?(?:[-_ ].*|\d+)?", re.IGNORECASE)  # TEST_SIMPLE, Test-A, too


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in `folder`, without those that operating systems create."""
    names = sorted(child.name for child in folder.iterdir() if child.is_dir() and not left_by_system(child.name))
    for name in names:
        if not is_utf8(name):
            raise LeukoError(f"the folder {folder / visible(name)} has a name that is not UTF-8: rename it")
    return names


def part_folders(root: Path) -> tuple[str, str] | None:
    """The folders of the training and the test part of a set, by their names; None where it has not both."""
    train, test = _train_and_test(_parts([name for name in subfolders(root) if subfolders(root / name)]))
    return None if train is None or test is None else (train, test)


def is_validation(name: str) -> bool:
    """Whether a folder is the validation part of a set by its name."""
    return _parts([name]).get(name) == "val"


def flat_parts(root: Path) -> list[str]:
    """Why folders of images that seem to be parts of a set without classes are not kept apart; else nothing.

    Only parts that hold folders are followed.
    """
    flat = [name for name in _parts(subfolders(root)) if not subfolders(root / name)]
    if len(flat) < 2 or (root / SPLIT).exists():
        return []
    return [f"official: {' and '.join(sorted(flat))} hold no folders; a split.csv (path,split) would keep them apart"]


def _parts(names: Sequence[str]) -> dict[str, str]:
    """Folders that are parts of a set by their names, the shortest names first: which part each is."""
    return {name: match[1].lower() for name in sorted(names, key=len) if (match := _PART.fullmatch(name))}


def with_validation(root: Path) -> dict[str, str] | None:
    """The part that each folder is, by their names, where a set is a training, a validation and a test folder; or None.

    masks/ beside them does not count.
    """
    names = [name for name in subfolders(root) if name != "masks"]
    parts = _parts(names)
    return parts if len(names) == 3 and sorted(parts.values()) == ["test", "train", "val"] else None


def are_parts(names: Sequence[str]) -> bool:
    """Whether all these folders are parts of a set by their names."""
    return len(_parts(names)) == len(names)


def _train_and_test(parts: Mapping[str, str]) -> tuple[str | None, str | None]:
    train = next((name for name, part in parts.items() if part == "train"), None)
    test = next((name for wanted in ("test", "val") for name, part in parts.items() if part == wanted), None)
    return train, test


def refuse_parts(folder: Path, names: Sequence[str]) -> None:
    """Raise LeukoError where folders are parts of a set, as in most downloads: they would become its classes."""
    parts = _parts(names)
    hold_classes = any(subfolders(folder / name) for name in parts)
    if not hold_classes and len(parts) < 2:
        return
    train, test = _train_and_test(parts)
    remedy = f"name prepare.train: {train or '…'}, prepare.test: {test or '…'}"
    if not hold_classes:
        remedy = f"put the images of each class into a folder of its own in each, and {remedy}"
    raise LeukoError(f"{folder} holds {', '.join(sorted(parts))}: parts of a set, not classes; {remedy}")


def refuse_folder_around(folder: Path, otherwise: str) -> None:
    """Raise LeukoError where `folder` holds one folder alone, in which the class folders seem to lie, at any depth.

    masks/ and folders that begin with _ do not count. `otherwise`: what to do where they are not the classes.
    """
    around, names = folder, _possible_classes(folder)
    while len(names) == 1:
        around = around / names[0]
        names = _possible_classes(around)
    if around != folder and names:
        raise LeukoError(
            f"{folder} holds only the folder {around.relative_to(folder).as_posix()}, with {listed(names, 5)} in it: "
            f"if those are the classes, name {around}; {otherwise}"
        )


def _possible_classes(folder: Path) -> list[str]:
    return [name for name in subfolders(folder) if name != "masks" and not name.startswith("_")]
