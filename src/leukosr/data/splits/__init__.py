"""Protocols: which image has which role. A split depends on the images and the study's seed alone.

A new protocol is a function in a file of its own and a line of `SPLITS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from leukosr.data.manifest import BOTH, FOLD, SR_ROLES, SR_TEST, Row, for_classifiers
from leukosr.data.separation import check_disjoint
from leukosr.data.settings import Prepare
from leukosr.data.splits.as_counted import as_counted
from leukosr.data.splits.official import official
from leukosr.data.splits.official_sr_apart import official_sr_apart
from leukosr.data.splits.paper import paper
from leukosr.data.splits.patient_disjoint import patient_disjoint
from leukosr.data.splits.pool import pooled
from leukosr.data.splits.random_80_10_10 import random_80_10_10
from leukosr.data.splits.shares import Candidate, by_class, training_images, with_fewer
from leukosr.data.splits.source_disjoint import source_disjoint
from leukosr.data.splits.validation_of_train import validation_of_train
from leukosr.errors import LeukoError


class GivesRoles(Protocol):
    """Image id -> role. `most` caps the images of each class that a classifier trains on."""

    def __call__(
        self, items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
    ) -> dict[str, str]:
        """Raise LeukoError where the set cannot be split so."""


@dataclass(frozen=True)
class Split:
    """A protocol and what it claims.

    words: what it does, for reports. disjoint: no source is in two parts, so it needs the sources; of several protocols
    it is the strictest. own_sr_part: SR trains on images that no classifier sees. folds: it keeps to the setting.
    leaks: classifiers train on the very images that they are tested on, by design; whatever shows its scores says so.
    """

    roles: GivesRoles
    words: str
    disjoint: bool = False
    own_sr_part: bool = False
    folds: bool = False
    leaks: bool = False


SPLITS: dict[str, Split] = {
    "paper": Split(
        paper, "test images drawn at random from the test part, whatever source they show", own_sr_part=True
    ),
    "source_disjoint": Split(
        source_disjoint,
        "no source is in two of SR training, classifier training, validation and test",
        disjoint=True,
        own_sr_part=True,
        folds=True,
    ),
    "official": Split(official, "the parts that the set comes with; SR trains on its training part"),
    "random_80_10_10": Split(random_80_10_10, "80, 10 and 10 % of each class at random, whatever source they show"),
    "validation_of_train": Split(validation_of_train, "tested on a fifth of the training part, by name"),
    "patient_disjoint": Split(
        patient_disjoint,
        "no patient is in two of training, validation and test; SR trains on the training part",
        disjoint=True,
        folds=True,
    ),
    "as_counted": Split(
        as_counted, "by design, test images are in training, as published numbers of files say", leaks=True
    ),
    "official_sr_apart": Split(
        official_sr_apart,
        "the parts that the set comes with, its training part shared between SR and the classifiers; no source in two",
        disjoint=True,
        own_sr_part=True,
    ),
}
SEVERAL = {
    "both": ("paper", "source_disjoint"),
    "counted_and_disjoint": ("as_counted", "source_disjoint"),
}  # names of protocols that run together


def shown_name(protocol: str) -> str:
    """The name of a protocol on pages and tables, where one that leaks says so."""
    return f"{protocol} (leaks by design)" if SPLITS[protocol].leaks else protocol


def named_protocols(named: str | Sequence[str]) -> tuple[str, ...]:
    """The protocols that `study.protocol` names: one, a list, or a name for several, not spelt out.

    Raises ValueError for others.
    """
    names = SEVERAL.get(named, (named,)) if isinstance(named, str) else tuple(named)
    allowed = ", ".join((*SPLITS, *SEVERAL))
    unknown = [name for name in names if name not in SPLITS]
    if unknown or not names:
        raise ValueError(
            f"unknown protocol '{unknown[0] if unknown else ''}'; allowed are {allowed}, or a list of them"
        )
    for name, several in SEVERAL.items():
        if not isinstance(named, str) and names == several:
            raise ValueError(f"write {name} for {', '.join(several)}: by that name their sources are found")
    if len(set(names)) < len(names):
        raise ValueError(f"protocols must differ from each other, got {', '.join(names)}")
    return names


def strictest(protocols: Sequence[str]) -> str:
    """The protocol that trains SR where several run: the first that keeps sources apart, else the first."""
    return max(protocols, key=lambda name: SPLITS[name].disjoint)


def study_roles(
    items: Sequence[Candidate], settings: Prepare, seed: int, protocols: Sequence[str], classifies: bool = True
) -> dict[str, dict[str, str]]:
    """Protocol -> image id -> role, under all protocols of a study; images whose source is missing may have none.

    With `settings.pool` the images outside it are unused. Where several run, classifiers train on equally many images
    of each class under all, so that only the split differs.
    """
    _refuse_set(items, settings, protocols, classifies)
    roles = _given_roles(pooled(items, settings.pool, seed), settings, seed, protocols)
    return {name: _complete(items, name, roles[name], classifies) for name in protocols}


def _given_roles(
    items: Sequence[Candidate], settings: Prepare, seed: int, protocols: Sequence[str]
) -> dict[str, dict[str, str]]:
    first = strictest(protocols)
    others = [name for name in protocols if name != first]
    roles = {first: SPLITS[first].roles(items, settings, seed)}
    if others:
        for name in others:
            roles[name] = SPLITS[name].roles(_beside(items, roles[first], name), settings, seed)
        most = _fewest(items, [roles[name] for name in others])
        roles[first] = SPLITS[first].roles(items, settings, seed, most)
        allowed = _fewest(items, list(roles.values()))
        roles |= {name: with_fewer(items, roles[name], allowed, seed) for name in others}
    return roles


def _refuse_set(items: Sequence[Candidate], settings: Prepare, protocols: Sequence[str], classifies: bool) -> None:
    classes = by_class(items)
    if classifies and len(classes) < 2:
        raise LeukoError(
            f"the set has one class only ({', '.join(classes) or 'none'}): a classifier needs two or more; "
            "image quality alone needs none (--no-classes)"
        )
    needing = [name for name in protocols if SPLITS[name].disjoint]
    if needing and not any(item.source for item in items):
        raise LeukoError(
            f"the sources of the images in {settings.root} are not known, and {needing[0]} needs them: `dvc repro "
            "prepare` finds them first where study.protocol is a key of find_sources; else add a sources.csv (path, "
            "source) or set prepare.source_pattern"
        )


def _beside(items: Sequence[Candidate], strict: Mapping[str, str], name: str) -> list[Candidate]:
    """The images that a protocol may use beside the strictest one: those that have a role there.

    In a set without parts, what SR uses there is TRAIN for a protocol that keeps a part for SR, and the rest is TEST:
    so its classifiers see no image that SR was trained on.
    """
    return [
        replace(item, part="train" if any(role in SR_ROLES for role in strict[item.id].split(BOTH)) else "test")
        if item.part == "all" and SPLITS[name].own_sr_part
        else item
        for item in items
        if item.part != "all" or item.id in strict
    ]


def _fewest(items: Sequence[Candidate], roles: Sequence[Mapping[str, str]]) -> Counter[str]:
    """The smallest number of training images of each class under any of the protocols."""
    counts = [training_images(items, each) for each in roles]
    fewest = counts[0]
    for other in counts[1:]:
        fewest &= other
    return fewest


def _complete(items: Sequence[Candidate], name: str, roles: Mapping[str, str], classifies: bool) -> dict[str, str]:
    """The roles, with `unused` for images that have none, except those that need a source and lack one."""
    given = {item.id: roles.get(item.id, "unused") for item in items if item.id in roles or not SPLITS[name].disjoint}
    return given if classifies else {each: _without_classifiers(role, SPLITS[name]) for each, role in given.items()}


def _without_classifiers(role: str, split: Split) -> str:
    """The role where nothing is classified: what classifiers would see, or test on where they train on SR's images,
    is what SR is tested on."""
    if role.startswith(FOLD) and not split.own_sr_part:
        return role  # SR is tested on each fold, and trains on the others
    kept = [part for part in role.split(BOTH) if part in SR_ROLES]
    if kept:
        return BOTH.join(kept)
    tested = for_classifiers(role) if split.own_sr_part else "classifier_test" in role.split(BOTH)
    return SR_TEST if tested else "unused" if for_classifiers(role) else role


def check_claims(rows: Sequence[Row], protocols: Sequence[str]) -> None:
    """Raise LeukoError where a source is in two parts under a protocol that claims to keep sources apart."""
    for name in protocols:
        if SPLITS[name].disjoint:
            check_disjoint(rows, name)
