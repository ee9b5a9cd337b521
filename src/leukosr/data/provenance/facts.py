"""What the sources reveal about a set: copies, contradicting labels, splits that share sources."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from leukosr.data.provenance.geometry import View
from leukosr.data.provenance.search import Sources
from leukosr.data.split_table import NAME as SPLIT_TABLE
from leukosr.data.split_table import read_split
from leukosr.errors import LeukoError
from leukosr.quoting import short

SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing", "test_simple"})


@dataclass(frozen=True)
class Shared:
    """`count` of the `images` of split `one` share a source with an image of split `other`."""

    one: str
    other: str
    count: int
    images: int

    @property
    def sentence(self) -> str:
        """`412 of 498 test images (83 %) share a micrograph with training images.`"""
        share = f" ({_percent(100 * self.count / self.images)})" if self.images else ""
        return (
            f"{self.count:,} of {self.images:,} {self.one} images{share} share a micrograph with {self.other} images."
        )


def _percent(percent: float) -> str:
    """Never 0 % of some, nor 100 % of fewer than all."""
    shown = f"{percent:.{1 if 0 < percent < 1 else 0}f}"
    if percent > 0 and float(shown) == 0:
        shown = "< 0.1"
    elif percent < 100 and float(shown) == 100:
        shown = "> 99"
    return f"{shown} %"


@dataclass(frozen=True)
class Facts:
    """Facts about a set whose sources are known.

    groups: source -> its images, sources in the order of their first image. exact: images of equal bytes. near: those
    of the pairs that the search linked (images of one source are not compared again) that show the same at the same
    place. conflicts: source -> images by label, where there is more than one label.
    bare: images of too few features to be compared, which share a source with copies of equal bytes alone.
    """

    groups: Mapping[str, tuple[str, ...]]
    exact: tuple[tuple[str, ...], ...]
    near: tuple[tuple[str, str], ...]
    conflicts: Mapping[str, Mapping[str, int]]
    shared: tuple[Shared, ...]
    bare: tuple[str, ...]

    @property
    def doubt(self) -> str:
        """`3 of 12 images show too little detail to be compared: of these, only copies of equal bytes are found.`"""
        images = sum(map(len, self.groups.values()))
        return (
            f"{len(self.bare):,} of {images:,} images show too little detail to be compared: of these, only copies of "
            "equal bytes are found."
        )


def name_sources(group: np.ndarray) -> list[str]:
    """One name per image: `source-0001` for the group of the first image, and so on."""
    numbers = {int(first): i + 1 for i, first in enumerate(dict.fromkeys(group.tolist()))}
    digits = max(4, len(str(len(numbers))))
    return [f"source-{numbers[int(first)]:0{digits}d}" for first in group]


def gather_facts(images: Sequence[str], sources: Sources, labels: Sequence[str], splits: Sequence[str]) -> Facts:
    """Facts about the images, their labels and splits; images with an empty split are ignored."""
    names = name_sources(sources.group)
    groups: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        groups[name].append(number)
    by_label = {name: Counter(labels[i] for i in members if labels[i]) for name, members in groups.items()}
    near = [(images[link.a], images[link.b]) for link in sources.links if not link.flipped and _in_place(link.view)]
    return Facts(
        groups={name: tuple(images[i] for i in members) for name, members in groups.items()},
        exact=tuple(tuple(images[i] for i in same) for same in sources.copies),
        near=tuple(near),
        conflicts={name: dict(counts) for name, counts in by_label.items() if len(counts) > 1},
        shared=tuple(shared_sources(names, splits)),
        bare=tuple(image for image, bare in zip(images, sources.bare, strict=True) if bare),
    )


def _in_place(view: View) -> bool:
    """Whether a view is the image itself, apart from compression or brightness."""
    moved = np.abs(view.transform - np.array([[1, 0, 0], [0, 1, 0]]))
    return bool(
        moved[:, :2].max() < 0.02 and moved[:, 2].max() < 1.5 and view.similarity > 0.95 and view.overlap > 0.95
    )


def shared_sources(names: Sequence[str], splits: Sequence[str]) -> list[Shared]:
    """For every ordered pair of splits how many images of the first share a source with the second."""
    sources: dict[str, set[str]] = defaultdict(set)
    members: dict[str, list[str]] = defaultdict(list)
    for name, split in zip(names, splits, strict=True):
        if split:
            sources[split].add(name)
            members[split].append(name)
    return [
        Shared(one, other, sum(name in sources[other] for name in members[one]), len(members[one]))
        for one in sorted(members)
        for other in sorted(members)
        if one != other
    ]


def folder_labels(images: Sequence[str]) -> list[str]:
    """The name of the folder that holds each image; empty where that is the name of a split."""
    names = [PurePosixPath(image).parent.name for image in images]
    return ["" if name.lower() in SPLITS else name for name in names]


def folder_splits(root: Path, images: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The split of each image, and sentences about rows and images that do not match.

    By `split.csv` where there is one, else by a top folder whose name is that of a split (train, val, test …); empty
    where there is none. Raises LeukoError for a `split.csv` that is wrong, or of which no row names an image.
    """
    if not (root / SPLIT_TABLE).is_file():
        tops = [PurePosixPath(image).parts[0] if len(PurePosixPath(image).parts) > 1 else "" for image in images]
        return [top if top.lower() in SPLITS else "" for top in tops], ()
    known = {row.path: row.split for row in read_split(root)}
    present = set(images)
    unmatched = [path for path in known if path not in present]
    if len(unmatched) == len(known):
        raise LeukoError(
            f"none of the {len(known)} paths in {root / SPLIT_TABLE} is a usable image of {root}, e.g. "
            f"{short(unmatched[0])}"
        )
    notes = []
    if unmatched:
        many = f"{len(unmatched)} of {len(known)}"
        notes.append(f"{many} rows of {SPLIT_TABLE} name no usable image, e.g. {short(unmatched[0])}")
    if without := [image for image in images if image not in known]:
        notes.append(f"{len(without)} of {len(images)} images have no row in {SPLIT_TABLE}, e.g. {short(without[0])}")
    return [known.get(image, "") for image in images], tuple(notes)
