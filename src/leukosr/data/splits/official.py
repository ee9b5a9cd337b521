"""`official`: the parts that the set itself comes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leukosr.data.settings import Prepare
from leukosr.data.splits.shares import Candidate, cut_alike, in_parts, of_class
from leukosr.errors import LeukoError


def official(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """The set's own train, val and test for classifiers; SR trains on its train part.

    Raises LeukoError for a class without training or test images of its own.
    """
    return cut_alike(items, settings, seed, most, "official", _own_parts)


def _own_parts(label: str, images: Sequence[Candidate]) -> tuple[list[str], list[str], list[str]]:
    parts = in_parts(images)
    for part in ("train", "test"):
        if not parts[part]:
            raise LeukoError(
                f"{of_class(label)} has no {part} part of its own: name the folders prepare.train and prepare.test, "
                "add a split.csv (path, label, split), or choose another study.protocol"
            )
    return parts["train"], parts["val"], parts["test"]
