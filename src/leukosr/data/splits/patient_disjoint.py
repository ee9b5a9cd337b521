"""`patient_disjoint`: for sets of whole patients (002_…), whose sources are the patients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from leukosr.data.manifest import FOLD
from leukosr.data.settings import Prepare
from leukosr.data.splits.shares import Candidate, by_class, cut_alike, drawn, of_class, whole_shares
from leukosr.engine.seeding import stream_rng
from leukosr.errors import LeukoError

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def patient_disjoint(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """80 % of the patients to train on, 10 % to validate and 10 % to test on; SR trains on the training images, too.

    Patients are stratified by the classes that they show, so that rare classes are in every part where possible. Images
    whose patient is not known get no role. With `prepare.source_disjoint.folds` the patients are cut into as many folds
    instead, and SR trains once per fold, on the others (data/sr_folds.py). Raises LeukoError where a class is missing
    in a part or lies in one fold alone, and for more folds than patients.
    """
    known = [item for item in items if item.source]
    if settings.source_disjoint.folds is not None:
        return _in_folds(known, settings, settings.source_disjoint.folds, seed, most)
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


def _in_folds(
    items: Sequence[Candidate], settings: Prepare, folds: int, seed: int, most: Mapping[str, int] | None
) -> dict[str, str]:
    """`fold_1` to `fold_<folds>`: the patients of each group of classes in turn, in random order.

    Of each class the budget's limit is shared out evenly among its patients, or fewer images where the classifiers, who
    train on all folds but one, would train on more than `most`; the other images are unused.
    """
    roles, place = {item.id: "reference" if item.part == "reference" else "unused" for item in items}, 0
    fold_of: dict[str, str] = {}
    for group, patients in sorted(_groups([item for item in items if item.part != "reference"]).items()):
        for patient in _shuffled(patients, seed, "folds", group):
            fold_of[patient], place = f"{FOLD}{place % folds + 1}", place + 1
    if place < folds:
        raise LeukoError(
            f"the set has {place} patients, too few for {folds} folds: set prepare.source_disjoint.folds to {place} or "
            "less, or add images of more patients"
        )
    for label, members in by_class(items).items():
        queues: dict[str, list[str]] = defaultdict(list)
        for item in drawn([each for each in members if each.part != "reference"], seed, "patient_disjoint", label):
            queues[item.source].append(item.id)
        in_turn = sorted((turn, patient, i) for patient, ids in queues.items() for turn, i in enumerate(ids))
        used = in_turn[: settings.per_class.classifier]
        if most is not None:
            used = used[: round(most.get(label, 0) * folds / (folds - 1))]
        given = {i: fold_of[patient] for _, patient, i in used}
        if label and len(set(given.values())) < 2:  # in a study of image quality alone images have no class
            raise LeukoError(
                f"{of_class(label)} lies in one fold of patients alone, so it would test classifiers that never saw "
                "it: add images of it from more patients, or list the other classes in prepare.classes"
            )
        roles |= given
    return roles


def _groups(items: Sequence[Candidate]) -> dict[str, list[str]]:
    """The patients by the classes that they show, by name."""
    labels: dict[str, set[str]] = defaultdict(set)
    for item in items:
        labels[item.source].add(item.label)
    groups: dict[str, list[str]] = defaultdict(list)
    for patient in sorted(labels):
        groups["+".join(sorted(labels[patient]))].append(patient)
    return groups


def _shuffled(patients: Sequence[str], seed: int, stream: str, group: str) -> list[str]:
    order = stream_rng(seed, "split", "patient_disjoint", stream, group).permutation(len(patients))
    return [patients[i] for i in order]


def _parts_of_patients(items: Sequence[Candidate], seed: int) -> dict[str, str]:
    """Patient -> train, val or test. Patients of fewer than three in their group of classes train."""
    part_of: dict[str, str] = {}
    for group, patients in sorted(_groups(items).items()):
        few = len(patients) < len(SHARES)
        counts = [len(patients), 0, 0] if few else whole_shares(len(patients), list(SHARES.values()))
        parts = [part for part, count in zip(SHARES, counts, strict=True) for _ in range(count)]
        part_of |= dict(zip(_shuffled(patients, seed, "patients", group), parts, strict=True))
    return part_of
