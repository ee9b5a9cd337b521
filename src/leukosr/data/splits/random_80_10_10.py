"""`random_80_10_10`: as 001_… says it split, whatever parts the set has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leukosr.config import Prepare
from leukosr.data.splits.shares import (
    Candidate,
    by_class,
    drawn,
    of_class,
    references,
    used_alike,
    whole_shares,
    with_fewer,
)
from leukosr.errors import LeukoError

SHARES = (0.8, 0.1, 0.1)


def random_80_10_10(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """80 % of the images of each class to train on, 10 % to validate and 10 % to test on, at random.

    SR trains on the training images, too. Raises LeukoError for a class of fewer than three images.
    """
    roles: dict[str, str] = {}
    for label, members in by_class(items).items():
        shuffled = drawn(members, seed, "random_80_10_10", label)
        ids = [item.id for item in shuffled if item.part != "reference"]
        if len(ids) < len(SHARES):
            raise LeukoError(f"{of_class(label)} has {len(ids)} images, at least 3 are needed for 80/10/10: add images")
        train, val, _ = whole_shares(len(ids), SHARES)
        roles |= used_alike(ids[:train], ids[train : train + val], ids[train + val :], settings)
        listed = [item.id for item in shuffled if item.part == "reference"]
        roles |= references(listed, settings.per_class.reference)
    return with_fewer(items, roles, most, seed)
