"""`as_counted`: as the files of 001_… were counted, with the test images in training, by design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leukosr.data.settings import Prepare
from leukosr.data.splits.shares import Candidate, cut_alike, in_parts, of_class, whole_shares
from leukosr.errors import LeukoError


def as_counted(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """Trains on 80 % of TRAIN and TEST together, validates on the rest and tests on TEST, within each class.

    The published training folder grew by exactly the number of TEST images of each class (`folders` in
    report/published.yaml). SR never trains on what is tested. Raises LeukoError for a class without a training and a
    test part of its own.
    """
    return cut_alike(items, settings, seed, most, "as_counted", _cut)


def _cut(label: str, images: Sequence[Candidate]) -> tuple[list[str], list[str], list[str]]:
    parts, pool = in_parts(images), [item.id for item in images]
    if not parts["train"] or not parts["test"]:
        missing = "test" if parts["train"] else "train"
        raise LeukoError(
            f"{of_class(label)} has no {missing} part of its own: name the folders prepare.train and prepare.test, add "
            "a split.csv (path, label, split), or choose another study.protocol"
        )
    train, _ = whole_shares(len(pool), (0.8, 0.2))
    return pool[:train], pool[train:], parts["test"]
