"""`patient_disjoint`: for sets of whole patients (002_…), whose sources are the patients."""

from __future__ import annotations

from collections import defaultdict
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
from leukosr.engine.seeding import stream_rng
from leukosr.errors import LeukoError

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def patient_disjoint(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """80 % of the patients to train on, 10 % to validate and 10 % to test on; SR trains on the training images, too.

    Patients are cut by the classes that they show, so that rare classes are in every part as far as that goes. Images
    whose patient is not known get no role. Raises LeukoError where a class is missing in a part.
    """
    known = [item for item in items if item.source]
    part_of = _parts_of_patients([item for item in known if item.part != "reference"], seed)
    roles: dict[str, str] = {}
    for label, members in by_class(known).items():
        ids: dict[str, list[str]] = {part: [] for part in (*SHARES, "reference")}
        for item in drawn(members, seed, "patient_disjoint", "images", label):
            ids["reference" if item.part == "reference" else part_of[item.source]].append(item.id)
        for part in SHARES:
            if not ids[part]:
                raise LeukoError(
                    f"{of_class(label)} has no patient left for {part}: bring images of three patients or more of each "
                    "class, or choose a protocol that needs none"
                )
        roles |= used_alike(ids["train"], ids["val"], ids["test"], settings)
        roles |= references(ids["reference"], settings.per_class.reference)
    return with_fewer(known, roles, most, seed)


def _parts_of_patients(items: Sequence[Candidate], seed: int) -> dict[str, str]:
    """Patient -> train, val or test. Patients of fewer than three in their group of classes train."""
    labels: dict[str, set[str]] = defaultdict(set)
    for item in items:
        labels[item.source].add(item.label)
    groups: dict[str, list[str]] = defaultdict(list)
    for patient in sorted(labels):
        groups["+".join(sorted(labels[patient]))].append(patient)
    part_of: dict[str, str] = {}
    for group, patients in sorted(groups.items()):
        order = stream_rng(seed, "split", "patient_disjoint", group).permutation(len(patients))
        few = len(patients) < len(SHARES)
        counts = [len(patients), 0, 0] if few else whole_shares(len(patients), list(SHARES.values()))
        parts = [part for part, count in zip(SHARES, counts, strict=True) for _ in range(count)]
        part_of |= {patients[i]: part for i, part in zip(order, parts, strict=True)}
    return part_of
