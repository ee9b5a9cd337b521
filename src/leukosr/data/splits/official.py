"""`official`: the parts that the set itself comes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leukosr.config import Prepare
from leukosr.data.splits.shares import (
    Candidate,
    by_class,
    drawn,
    in_parts,
    of_class,
    references,
    used_alike,
    with_fewer,
)
from leukosr.errors import LeukoError


def official(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """The set's own train, val and test for classifiers; SR trains on its train part. The budget's choice is drawn.

    Raises LeukoError for a class without training or test images of its own.
    """
    roles: dict[str, str] = {}
    for label, members in by_class(items).items():
        parts = in_parts(drawn(members, seed, "official", label))
        for part in ("train", "test"):
            if not parts[part]:
                raise LeukoError(
                    f"{of_class(label)} has no {part} part of its own: name the folders prepare.train and "
                    "prepare.test, add a split.csv (path, label, split), or choose another study.protocol"
                )
        roles |= used_alike(parts["train"], parts["val"], parts["test"], settings)
        roles |= references(parts["reference"], settings.per_class.reference)
    return with_fewer(items, roles, most, seed)
