"""Building blocks of splits: images by class in random order, cut into parts, limited by a budget."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Protocol

from leukosr.data.catalogue import Checked
from leukosr.data.manifest import BOTH, FOLD, Item
from leukosr.data.settings import Prepare
from leukosr.engine.seeding import stream_rng

TRAIN = "classifier_train"


@dataclass(frozen=True)
class Candidate(Item):
    """An image to be given a role; `part` is the set's own: train, val, test, reference, or all without parts."""

    part: str


def candidates(
    images: Sequence[Checked], sources: Mapping[str, str], masks: Mapping[str, str] | None = None
) -> list[Candidate]:
    """The images of a set with their sources and masks (by image id), empty where one is not known."""
    return [
        Candidate(
            image.file.image_id,
            image.file.path,
            image.file.label,
            sources.get(image.file.image_id, ""),
            image.width,
            image.height,
            image.file.part,
            mask=(masks or {}).get(image.file.image_id, ""),
        )
        for image in images
    ]


def by_class(items: Sequence[Candidate]) -> dict[str, list[Candidate]]:
    """The images of each class by name; a class with reference images only is left out."""
    classes: dict[str, list[Candidate]] = defaultdict(list)
    for item in sorted(items, key=lambda item: item.id):
        classes[item.label].append(item)
    return {label: members for label, members in sorted(classes.items()) if any(m.part != "reference" for m in members)}


def drawn(items: Sequence[Candidate], seed: int, *stream: str) -> list[Candidate]:
    """The images in the random order of a stream."""
    return [items[i] for i in stream_rng(seed, "split", *stream).permutation(len(items))]


def in_parts(items: Sequence[Candidate]) -> dict[str, list[str]]:
    """The ids in each part of the set, in the order of the images."""
    parts: dict[str, list[str]] = {part: [] for part in ("train", "val", "test", "reference", "all")}
    for item in items:
        parts[item.part].append(item.id)
    return parts


def in_turn(ids: Sequence[str], counts: Mapping[str, int | None]) -> dict[str, str]:
    """The first images get the first role, `counts` of them (None: all the rest), and so on; what is left is unused."""
    roles = [role for role, count in counts.items() for _ in range(len(ids) if count is None else count)]
    return dict(zip(ids, chain(roles, repeat("unused")), strict=False))


class Cuts(Protocol):
    """The training, validation and test images of one class."""

    def __call__(self, label: str, images: Sequence[Candidate]) -> tuple[list[str], list[str], list[str]]:
        """`images` are those of the class without references, in random order."""


def cut_alike(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None, name: str, cut: Cuts
) -> dict[str, str]:
    """The roles where each class is cut separately, and SR trains on the classifiers' training images."""
    roles: dict[str, str] = {}
    for label, members in by_class(items).items():
        shuffled = drawn(members, seed, name, label)
        roles |= _used_alike(*cut(label, [item for item in shuffled if item.part != "reference"]), settings)
        listed = [item.id for item in shuffled if item.part == "reference"]
        roles |= in_turn(listed, {"reference": settings.per_class.reference})
    return with_fewer(items, roles, most, seed)


def _used_alike(train: Sequence[str], val: Sequence[str], test: Sequence[str], settings: Prepare) -> dict[str, str]:
    """The roles of one class where SR trains on the classifiers' training images, within the limits of the budget.

    SR validates on the validation part; where there is none, on the first `sr_val` training images. It sees no image
    that is tested, whatever the classifiers train on.
    """
    most = most_per_role(settings)
    sr_val = val or train[: min(settings.per_class.sr_val, len(train) // 2)]
    tested = set(test)
    uses = {
        "sr_train": [each for each in train if each not in tested.union(sr_val)],
        "sr_val": [each for each in sr_val if each not in tested],
        TRAIN: train,
        "classifier_val": val,
        "classifier_test": test,
    }
    played: dict[str, list[str]] = {each: [] for each in (*train, *val, *test)}
    for role, ids in uses.items():
        for each in ids[: most.get(role)]:
            played[each].append(role)
    return {each: BOTH.join(roles) or "unused" for each, roles in played.items()}


def most_per_role(settings: Prepare) -> dict[str, int | None]:
    """How many images of a class may play each role."""
    limit = settings.per_class
    most: dict[str, int | None] = {"sr_train": limit.sr_train, "sr_val": limit.sr_val}
    if limit.classifier is not None:
        train = share_of(settings.classifier_train_fraction, limit.classifier)
        held_out = limit.classifier - train
        most |= {TRAIN: train, "classifier_val": held_out, "classifier_test": held_out}
    return most


def share_of(fraction: float, count: int) -> int:
    """A fraction of `count` images that leaves one on either side."""
    return min(max(round(fraction * count), 1), count - 1)


def whole_shares(total: int, shares: Sequence[float]) -> list[int]:
    """`total` divided into whole numbers in proportion to the shares, at least one each."""
    ideal = [share / sum(shares) * total for share in shares]
    counts = [max(1, int(part)) for part in ideal]
    while sum(counts) < total:
        counts[max(range(len(counts)), key=lambda i: ideal[i] - counts[i])] += 1
    while sum(counts) > total:
        counts[max((i for i in range(len(counts)) if counts[i] > 1), key=lambda i: counts[i] - ideal[i])] -= 1
    return counts


def training_images(items: Sequence[Item], roles: Mapping[str, str]) -> Counter[str]:
    """How many images of each class a classifier trains on: those of its part, or all folds but one on average.

    Images may have no role.
    """
    role_of = [(item.label, roles.get(item.id, "")) for item in items]
    folds = len({role for _, role in role_of if role.startswith(FOLD)})
    counts = Counter(label for label, role in role_of if TRAIN in role.split(BOTH))
    pooled = Counter(label for label, role in role_of if role.startswith(FOLD))
    return counts + Counter({label: round(count * (folds - 1) / folds) for label, count in pooled.items()})


def with_fewer(
    items: Sequence[Item], roles: Mapping[str, str], allowed: Mapping[str, int] | None, seed: int
) -> dict[str, str]:
    """The roles with no more training images of each class than `allowed`; those left out are drawn at random."""
    fewer = dict(roles)
    for label in sorted({item.label for item in items}) if allowed is not None else ():
        ids = sorted(i.id for i in items if i.label == label and TRAIN in roles.get(i.id, "").split(BOTH))
        order = stream_rng(seed, "split", "fewer", label).permutation(len(ids))
        for place in order[(allowed or {}).get(label, 0) :]:
            kept = [part for part in roles[ids[place]].split(BOTH) if part != TRAIN]
            fewer[ids[place]] = BOTH.join(kept) or "unused"
    return fewer


def of_class(label: str) -> str:
    """A class in a sentence; the images of a study that classifies nothing have none."""
    return f"class {label}" if label else "the set"
