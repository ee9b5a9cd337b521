"""Which images may be alike: a bag of visual words (Sivic & Zisserman 2003), searched with sparse products."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from scipy import sparse

from leukosr.data.provenance.features import mirrored
from leukosr.data.provenance.geometry import rooted
from leukosr.data.provenance.store import FeatureStore

VOCABULARY = 8192
FEW = 40  # images up to which nothing is gained by a search
ROWS = 512  # images whose likeness to all others is held at once, at most …
CELLS = 2**24  # … so that no table of it has more cells, however large the set


class WordIndex:
    """Weighted words of every image, and of its mirror image."""

    def __init__(self, store: FeatureStore, vocabulary: int = VOCABULARY) -> None:
        """Words are descriptors of the set itself, taken evenly: as good here as clustering, and always the same."""
        count = len(store.descriptors)
        chosen = np.linspace(0, count - 1, min(vocabulary, -(-count // 4))).astype(int)  # so that words are shared
        words = rooted(np.asarray(store.descriptors[chosen]))
        plain, flipped = _nearest(store, words)
        owner = np.repeat(np.arange(len(store), dtype=np.int32), np.diff(store.starts))
        shape = (len(store), len(words))
        counts = [sparse.csr_matrix((np.ones(count, np.float32), (owner, w)), shape=shape) for w in (plain, flipped)]
        present = np.asarray((counts[0] > 0).sum(0)).ravel()
        weight = np.log(len(store) / np.maximum(present, 1)).astype(np.float32)
        self.plain, self.flipped = (_normalised(each, weight) for each in counts)

    def candidates(self, group: np.ndarray, wanted: int) -> Iterator[tuple[int, int, bool, float]]:
        """For each image the `wanted` most alike ones of other groups: (image, other, other is mirrored, likeness).

        In a set of few images all pairs are candidates, both ways.
        """
        if len(group) <= FEW:
            for i, j in combinations(range(len(group)), 2):
                if group[i] != group[j]:
                    yield from ((i, j, False, 1.0), (i, j, True, 1.0))
            return
        everything = self.plain.T.tocsc()
        step = max(1, min(ROWS, CELLS // len(group)))
        for start in range(0, len(group), step):
            rows = np.arange(start, min(start + step, len(group)))
            straight = (self.plain[rows] @ everything).toarray()
            turned = (self.flipped[rows] @ everything).toarray()
            likeness = np.maximum(straight, turned)
            likeness[group[rows][:, None] == group[None, :]] = 0
            for row, alike in enumerate(likeness):
                for other in _largest(alike, wanted):
                    if alike[other] > 0:
                        flipped = bool(turned[row, other] > straight[row, other])
                        yield start + row, int(other), flipped, float(alike[other])


def _largest(values: np.ndarray, wanted: int) -> np.ndarray:
    """Where the `wanted` largest values stand, largest first, of equal ones the first; without sorting all of them."""
    if wanted >= len(values):
        return np.argsort(-values, kind="stable")
    least = np.partition(values, -wanted)[-wanted]
    places = np.flatnonzero(values >= least)
    return np.asarray(places[np.argsort(-values[places], kind="stable")[:wanted]])


def _nearest(store: FeatureStore, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The word of every descriptor and of its mirror image."""
    found = []
    for flip in (False, True):
        parts = []
        for start in range(0, len(store.descriptors), 4096):
            part = np.asarray(store.descriptors[start : start + 4096])
            parts.append((rooted(mirrored(part) if flip else part) @ words.T).argmax(1).astype(np.int32))
        found.append(np.concatenate(parts) if parts else np.zeros(0, np.int32))
    return found[0], found[1]


def _normalised(counts: sparse.csr_matrix, weight: np.ndarray) -> sparse.csr_matrix:
    counts.data = np.sqrt(counts.data)  # a word that comes often says less each time
    weighted = counts.multiply(weight[None, :]).tocsr()
    length = np.sqrt(weighted.multiply(weighted).sum(1)).A1
    return sparse.diags(1 / np.maximum(length, 1e-6)) @ weighted
