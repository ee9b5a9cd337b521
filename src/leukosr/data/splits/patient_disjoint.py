"""`patient_disjoint`: for sets of whole patients (002_…), whose sources are the patients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from leukosr.data.settings import Prepare
from leukosr.data.splits.shares import Candidate, cut_alike, of_class, whole_shares
from leukosr.engine.seeding import stream_rng
from leukosr.errors import LeukoError

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def patient_disjoint(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """80 % of the patients to train on, 10 % to validate and 10 % to test on; SR trains on the training images, too.

    Patients are stratified by the classes that they show, so that rare classes are in every part where possible. Images
    whose patient is not known get no role. Raises LeukoError where a class is missing in a part.
    """
    known = [item for item in items if item.source]
    part_of = _parts_of_patients([item for item in known if item.part != "reference"], seed)

    def cut(label: str, images: Sequence[Candidate]) -> tuple[list[str], list[str], list[str]]:
        train, val, test = ([item.id for item in images if part_of[item.source] == part] for part in SHARES)
        for part, ids in zip(SHARES, (train, val, test), strict=True):
            if not ids:
                raise LeukoError(
                    f"{of_class(label)} has no patient left for {part}: add images of three patients or more of each "
                    "class, or choose a protocol that needs none"
                )
        return train, val, test

    return cut_alike(known, settings, seed, most, "patient_disjoint", cut)


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
        order = stream_rng(seed, "split", "patient_disjoint", "patients", group).permutation(len(patients))
        few = len(patients) < len(SHARES)
        counts = [len(patients), 0, 0] if few else whole_shares(len(patients), list(SHARES.values()))
        parts = [part for part, count in zip(SHARES, counts, strict=True) for _ in range(count)]
        part_of |= {patients[i]: part for i, part in zip(order, parts, strict=True)}
    return part_of
