"""`random_80_10_10`: as 001_… says it split, whatever parts the set has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leukosr.data.settings import Prepare
from leukosr.data.splits.shares import Candidate, cut_alike, of_class, whole_shares
from leukosr.errors import LeukoError
from leukosr.quoting import counted


def random_80_10_10(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """80 % of the images of each class to train on, 10 % to validate and 10 % to test on, at random.

    SR trains on the training images, too. Raises LeukoError for a class of fewer than three images.
    """
    return cut_alike(items, settings, seed, most, "random_80_10_10", _cut)


def _cut(label: str, images: Sequence[Candidate]) -> tuple[list[str], list[str], list[str]]:
    ids = [item.id for item in images]
    if len(ids) < 3:
        has = f"{of_class(label)} has {counted(len(ids), 'image')}"
        raise LeukoError(f"{has}, at least 3 are needed for 80/10/10: add images")
    train, val, _ = whole_shares(len(ids), (0.8, 0.1, 0.1))
    return ids[:train], ids[train : train + val], ids[train + val :]
