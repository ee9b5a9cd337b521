"""`paper`: as the case studies split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from leukosr.data.settings import PerClass, Prepare
from leukosr.data.splits.shares import Candidate, by_class, drawn, in_parts, in_turn, of_class, share_of, with_fewer
from leukosr.errors import LeukoError
from leukosr.quoting import counted

NAME = "paper"  # of its random stream, which the search for sources shares


def paper(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """Roles as the case studies give them (000_…, Procedure): image id -> role.

    SR trains on TRAIN; the classifier sees TEST, re-split 80/20 at random within each class. A set without
    TRAIN/TEST is first cut 80/20 within each class. What the budget leaves over is `unused`.
    """
    roles: dict[str, str] = {}
    for label, members in by_class(items).items():
        train, test, reference = _pools(drawn(members, seed, NAME, label), settings.sr_fraction)
        roles |= _sr_roles(train, settings.per_class)
        roles |= _classifier_roles(label, test, settings)
        roles |= in_turn(reference, {"reference": settings.per_class.reference})
    return with_fewer(items, roles, most, seed)


def _pools(shuffled: list[Candidate], sr_fraction: float) -> tuple[list[str], list[str], list[str]]:
    """What SR and classifiers may use, and the references; a validation part of the set counts as test."""
    parts = in_parts([replace(item, part="test") if item.part == "val" else item for item in shuffled])
    cut = round(sr_fraction * len(parts["all"]))
    return parts["train"] + parts["all"][:cut], parts["test"] + parts["all"][cut:], parts["reference"]


def _sr_roles(ids: list[str], limit: PerClass) -> dict[str, str]:
    """Validation images come first, so that a larger training budget keeps them."""
    return in_turn(ids, {"sr_val": min(limit.sr_val, len(ids) // 2), "sr_train": limit.sr_train})


def _classifier_roles(label: str, ids: list[str], settings: Prepare) -> dict[str, str]:
    limit = settings.per_class.classifier
    chosen = len(ids) if limit is None else min(limit, len(ids))
    if chosen < 2:
        raise LeukoError(
            f"{of_class(label)} has {counted(chosen, 'image')} for the classifier: at least 2 are needed, one to train "
            f"on and one to test; add images, or lower prepare.sr_fraction ({settings.sr_fraction:g}) where the set "
            "has no train and test parts"
        )
    train = share_of(settings.classifier_train_fraction, chosen)
    return in_turn(ids, {"classifier_train": train, "classifier_test": chosen - train})


def searched_images(items: Sequence[Candidate], limit: PerClass, sr_fraction: float, seed: int) -> set[str]:
    """The images whose sources are searched: those that the budget can use under this protocol or a disjoint one.

    Of each class and part the first ones in the order of the `paper` protocol, so that all of its images are among
    them; of a training part as many as SR and the classifiers may take in total.
    """
    chosen: set[str] = set()
    sr = (
        None if limit.sr_train is None or limit.classifier is None else limit.sr_train + limit.sr_val + limit.classifier
    )
    for label, members in by_class(items).items():
        train, test, reference = _pools(drawn(members, seed, NAME, label), sr_fraction)
        chosen.update(train[:sr], test[: limit.classifier], reference[: limit.reference])
    return chosen
