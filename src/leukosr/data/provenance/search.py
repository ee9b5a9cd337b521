"""Groups of images that show one source."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, pairwise
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from leukosr.data.provenance.geometry import NO_VIEW, Limits, View, best_view
from leukosr.data.provenance.store import build_store, open_store, read_part, write_part
from leukosr.data.provenance.words import WordIndex
from leukosr.engine.parallel import ordered_map
from leukosr.engine.progress import progress

BATCH = 16384  # pairs compared between two checkpoints; every batch starts new workers
BETWEEN = 3  # pairs of images compared for two groups that are not linked yet


Candidate = tuple[int, int, bool]  # two images, the first before the second, and whether one is mirrored


@dataclass(frozen=True)
class Link:
    """Images `a` and `b` (numbers) and how b is seen in a."""

    a: int
    b: int
    flipped: bool
    view: View


@dataclass(frozen=True)
class Sources:
    """The result: each image's group (the number of its first image) and confidence in [0, 1], and the accepted links.

    The confidence of a copy, byte for byte, is 1, that of another image in a group that of its best link; that of an
    image alone is one minus the best confidence of the views that were refused, or 0 where it could not be compared.

    copies: groups of images of equal bytes. bare: bool, the images with features in too few places to be linked.
    """

    group: np.ndarray
    confidence: np.ndarray
    links: tuple[Link, ...]
    copies: tuple[tuple[int, ...], ...]
    bare: np.ndarray


def find_sources(
    paths: Sequence[Path], folder: Path, limits: Limits, *, max_features: int, neighbours: int, workers: int
) -> Sources:
    """Group images that show one source; `folder` keeps finished parts, which makes the search resumable.

    Images of equal bytes are a group from the start. In rounds: the most alike images of other groups are compared, and
    groups with a link become one, until no round finds a link.
    """
    copies = _copies(paths)
    store = build_store(paths, folder, max_features, workers)
    index = WordIndex(store)
    group = _joined(len(paths), copies, ())
    links: list[Link] = []
    refused = np.zeros(len(paths))
    seen: set[Candidate] = set()
    for number in count():  # every round but the last joins groups, so there are fewer rounds than images
        likeness: dict[Candidate, float] = {}
        for a, b, flipped, alike in index.candidates(group, neighbours):
            pair = (min(a, b), max(a, b), flipped)
            likeness[pair] = max(alike, likeness.get(pair, 0.0))
        pairs = _few_between({pair: alike for pair, alike in likeness.items() if pair not in seen}, group)
        seen.update(pairs)
        before = len(links)
        for link in _compare(pairs, folder, number, limits, workers):
            if link.view.accepted(limits):
                links.append(link)
            else:
                best = min(link.view.confidence, 0.99)
                refused[[link.a, link.b]] = np.maximum(refused[[link.a, link.b]], best)
        group = _joined(len(paths), copies, links)
        if len(links) == before:
            break
    bare = np.array([_places(store[image].points) < limits.inliers for image in range(len(paths))])
    confidence = _confidence(copies, links, np.where(bare, 0, 1 - refused))
    return Sources(group, confidence, tuple(links), copies, bare)


def _places(points: np.ndarray) -> int:
    """Features of one place, which differ in direction alone, count once, as in a view."""
    return len(np.unique(np.rint(points), axis=0))


def _copies(paths: Sequence[Path]) -> tuple[tuple[int, ...], ...]:
    """The images of equal bytes, in the order of their first."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, path in enumerate(paths):
        found[hashlib.sha256(path.read_bytes()).hexdigest()].append(number)
    return tuple(tuple(same) for same in found.values() if len(same) > 1)


def _few_between(likeness: dict[Candidate, float], group: np.ndarray) -> list[Candidate]:
    """The BETWEEN most similar pairs of two groups of several images: if these show nothing, others hardly do."""
    alone = np.bincount(group, minlength=len(group)) == 1
    taken: Counter[tuple[int, int]] = Counter()
    kept = []
    for pair in sorted(likeness, key=lambda pair: -likeness[pair]):
        first, second = sorted((int(group[pair[0]]), int(group[pair[1]])))
        if alone[first] or alone[second] or taken[first, second] < BETWEEN:
            taken[first, second] += 1
            kept.append(pair)
    return sorted(kept)


def _compare(pairs: list[Candidate], folder: Path, number: int, limits: Limits, workers: int) -> Iterator[Link]:
    """The pairs in which any view was found, batch by batch."""
    look = partial(_look, folder=folder / "features", limits=limits)
    with progress(len(pairs), f"comparing, round {number + 1}") as advance:
        for start in range(0, len(pairs), BATCH):
            part = pairs[start : start + BATCH]
            file = folder / f"round-{number}-{start:08d}.npz"
            if not file.exists():
                write_part(file, rows=np.array(list(ordered_map(look, part, workers)), np.float64))
            rows = read_part(file, "rows")
            for (a, b, flipped), row in zip(part, rows, strict=True):
                if row[0]:
                    yield Link(a, b, flipped, View(row[3:].reshape(2, 3).copy(), int(row[0]), row[1], row[2]))
            advance(len(part), "")


def _look(pair: Candidate, folder: Path, limits: Limits) -> list[float]:
    """One comparison as a row of numbers: inliers, similarity, overlap, transform."""
    a, b, flipped = pair
    store = open_store(folder)
    view = best_view(store[a], store[b], flipped, limits)
    if view is NO_VIEW:
        return [0.0] * 9
    return [view.inliers, view.similarity, view.overlap, *view.transform.ravel().tolist()]


def _joined(count: int, copies: Sequence[Sequence[int]], links: Sequence[Link]) -> np.ndarray:
    """Connected images have one number, that of the first of them."""
    pairs = [pair for same in copies for pair in pairwise(same)] + [(link.a, link.b) for link in links]
    ends = [a for a, _ in pairs], [b for _, b in pairs]
    _, labels = connected_components(sparse.coo_array((np.ones(len(pairs)), ends), (count, count)), directed=False)
    return np.asarray(np.unique(labels, return_index=True)[1][labels])


def _confidence(copies: Sequence[Sequence[int]], links: Sequence[Link], alone: np.ndarray) -> np.ndarray:
    """`alone` is the confidence of an image that is neither a copy nor linked."""
    best: dict[int, float] = defaultdict(float)
    for link in links:
        for image in (link.a, link.b):
            best[image] = max(best[image], link.view.confidence)
    best |= {image: 1.0 for same in copies for image in same}
    return np.array([best.get(image, own) for image, own in enumerate(alone)])
