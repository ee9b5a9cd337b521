"""LR/HR pairs for super-resolution training, whole or as aligned patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leukosr.engine.seeding import Root, stream_rng
from leukosr.images.store import ImageStore


@dataclass(frozen=True)
class Pairs:
    """Aligned images: `hr[i]` is `scale` times the height and width of `lr[i]`."""

    lr: ImageStore
    hr: ImageStore
    scale: int

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.hr)


@dataclass(frozen=True)
class PatchSampler:
    """Batches of random aligned patches; a batch depends on the seed and its number alone.

    So a resumed training sees the batches it would have seen. Images come in epochs, each a new permutation; patch
    places, flips and quarter turns are drawn for every batch. `name` is that of the training: it keys the streams.
    """

    pairs: Pairs
    patch: int
    batch: int
    flips: bool
    seed: Root
    name: str

    def __call__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch `number`: uint8 LR and HR, N x h x w x 3 each, HR patches `patch` pixels a side."""
        rng = stream_rng(self.seed, "augment", self.name, number)
        cuts = [self._cut(index, rng) for index in self._indices(number)]
        return np.stack([lr for lr, _ in cuts]), np.stack([hr for _, hr in cuts])

    def _indices(self, number: int) -> Sequence[int]:
        count = len(self.pairs)
        positions = range(number * self.batch, (number + 1) * self.batch)
        epochs = {position // count for position in positions}
        orders = {e: stream_rng(self.seed, "order", self.name, e).permutation(count) for e in epochs}
        return [int(orders[position // count][position % count]) for position in positions]

    def _cut(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        lr, hr = self.pairs.lr[index], self.pairs.hr[index]
        scale, side = self.pairs.scale, self.patch // self.pairs.scale
        top = int(rng.integers(lr.shape[0] - side + 1))
        left = int(rng.integers(lr.shape[1] - side + 1))
        small = lr[top : top + side, left : left + side]
        large = hr[top * scale : top * scale + self.patch, left * scale : left * scale + self.patch]
        if self.flips:
            turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
            small, large = np.rot90(small, turns), np.rot90(large, turns)
            if mirror:
                small, large = small[:, ::-1], large[:, ::-1]
        return small, large
