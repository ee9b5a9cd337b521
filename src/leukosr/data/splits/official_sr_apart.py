"""`official_sr_apart`: the parts that the set comes with, its training part shared between SR and the classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leukosr.data.settings import Prepare
from leukosr.data.splits.shares import (
    TRAIN,
    Candidate,
    by_class,
    drawn,
    in_turn,
    most_per_role,
    of_class,
    share_of,
    with_fewer,
)
from leukosr.errors import LeukoError

NAME = "official_sr_apart"
PARTS = ("train", "val", "test")  # a source that is seen in several counts as one of the last of them


def official_sr_apart(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """The set's own val and test; of each class's sources in its train part `sr_fraction` for SR, the rest to classify.

    No source is in two parts: an image whose source is also seen in a later part is unused. SR validates on sources of
    its own share. Images whose source is not known have no role. Raises LeukoError for a class without a test image or
    with fewer than three sources to train on.
    """
    known = [item for item in items if item.source]
    part_of = {item.source: part for part in PARTS for item in known if item.part == part}
    role_of: dict[str, str] = {}  # of the sources of the train part, which may show several classes
    limits = most_per_role(settings)
    roles: dict[str, str] = {}
    for label, members in by_class(known).items():
        shuffled = drawn(members, seed, NAME, label)
        used = [item for item in shuffled if part_of.get(item.source) == item.part]
        role_of |= _shared_out(label, [item for item in used if item.source not in role_of], settings)
        pools: dict[str, list[str]] = {}
        for item in used:
            pools.setdefault(role_of.get(item.source) or f"classifier_{item.part}", []).append(item.id)
        roles |= dict.fromkeys((item.id for item in members), "unused")
        for role, ids in pools.items():
            roles |= in_turn(ids, {role: limits.get(role)})
        listed = [item.id for item in shuffled if item.part == "reference"]
        roles |= in_turn(listed, {"reference": settings.per_class.reference})
    return with_fewer(items, roles, most, seed)


def _shared_out(label: str, used: Sequence[Candidate], settings: Prepare) -> dict[str, str]:
    """The roles of the sources of one class's train part."""
    sources = list(dict.fromkeys(item.source for item in used if item.part == "train"))
    if len(sources) < 3 or not any(item.part == "test" for item in used):
        raise LeukoError(
            f"{of_class(label)} has {len(sources)} sources in the set's train part and "
            f"{sum(item.part == 'test' for item in used)} images in its test part, at least 3 and 1 are needed: add a "
            "split.csv (path, label, split), or choose another study.protocol"
        )
    sr = max(2, share_of(settings.sr_fraction, len(sources)))
    validating = min(settings.per_class.sr_val, sr // 2)
    return in_turn(sources, {"sr_val": validating, "sr_train": sr - validating, TRAIN: None})
