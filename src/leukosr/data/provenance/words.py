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
CELLS = 2**22  # … so that no table of it has more cells, however large the set


class WordIndex:
    """Weighted words of every image, and of its mirror image."""

    def __init__(self, store: FeatureStore, vocabulary: int = VOCABULARY) -> None:
        """Words are descriptors of the set itself, taken evenly: as good here as clustering, and always the same."""
        count = len(store.descriptors)
        chosen = np.linspace(0, count - 1, min(vocabulary, -(-count // 4))).astype(int)  # so that words are shared
        words = rooted(np.asarray(store.descriptors[chosen]))
        plain, flipped = _nearest(store, words)
        self.plain, self.flipped = (_counted(store.starts, w, len(words)) for w in (plain, flipped))
        present = np.bincount(self.plain.indices, minlength=len(words))
        weight = np.log(len(store) / np.maximum(present, 1)).astype(np.float32)
        for each in (self.plain, self.flipped):
            _normalise(each, weight)

    def candidates(self, group: np.ndarray, wanted: int) -> Iterator[tuple[int, int, bool, float]]:
        """For each image the `wanted` most alike ones of other groups: (image, other, other is mirrored, likeness).

        In a set of few images all pairs are candidates, both ways.
        """
        if len(group) <= FEW:
            for i, j in combinations(range(len(group)), 2):
                if group[i] != group[j]:
                    yield from ((i, j, False, 1.0), (i, j, True, 1.0))
            return
        everything = self.plain.T.tocsr()  # as it is multiplied: any other form would be turned into it for every step
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


def _counted(starts: np.ndarray, found: np.ndarray, vocabulary: int) -> sparse.csr_matrix:
    """How often each image (a row) has each word; `found` are the words of all descriptors, image by image."""
    shape = (len(starts) - 1, vocabulary)
    counts = sparse.csr_matrix((np.ones(len(found), np.float32), found, starts.copy()), shape=shape)
    counts.sum_duplicates()
    return counts


def _normalise(counts: sparse.csr_matrix, weight: np.ndarray) -> None:
    """Weigh the words and bring every row to length 1, in place: these tables are the largest that a search holds."""
    # a word that comes often says less each time
    counts.data = np.sqrt(counts.data) * weight[counts.indices]
    length = np.sqrt(counts.multiply(counts).sum(1)).A1
    counts.data *= np.repeat(1 / np.maximum(length, 1e-6), np.diff(counts.indptr))
