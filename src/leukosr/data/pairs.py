"""LR/HR pairs for super-resolution training, whole or as aligned patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from leukosr.engine.seeding import Root, stream_rng
from leukosr.images.store import ImageStore

Flips = bool | Literal["horizontal"]


@dataclass(frozen=True)
class Pairs:
    """Aligned images: `hr[i]` is `scale` times the height and width of `lr[i]`.

    degrade: draws the LR image of every training sample afresh from its HR image; None: samples are those of `lr`.
    masks: what each pixel of `hr[i]` shows, uint8 height x width of the values of `leukosr.images.masks`; None: not
    asked for.
    labels: the class of each image, numbered in the order of their names; None: images have no class.
    """

    lr: ImageStore[Any]
    hr: ImageStore[Any]
    scale: int
    degrade: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None
    masks: ImageStore[Any] | None = None
    labels: Sequence[int] | None = None

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.hr)

    def hr_with_masks(self) -> ImageStore[int]:
        """The HR images with their masks as a fourth channel, so that both are cut and turned alike."""
        assert self.masks is not None
        masks = self.masks
        return ImageStore(range(len(self)), lambda i: np.dstack((self.hr[i], masks[i])))


@dataclass(frozen=True)
class PatchSampler:
    """Batches of random aligned patches; a batch depends only on the seed and its number.

    A resumed training therefore sees the same batches. Every epoch is a new permutation of the images; patch positions,
    flips and quarter turns are drawn for every batch. patch: sides of HR patches in pixels; None: whole images. flips:
    True mirrors and turns, `horizontal` only mirrors. `name` is that of the training: it keys the streams.
    """

    pairs: Pairs
    patch: int | None
    batch: int
    flips: Flips
    seed: Root
    name: str

    def __call__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch `number`: uint8 LR and HR, N x h x w x 3 each."""
        rng = stream_rng(self.seed, "augment", self.name, number)
        pairs = (self._pair(index, number, place) for place, index in enumerate(self._indices(number)))
        samples = [self._flipped(*self._cut(*pair, rng), rng) for pair in pairs]
        return np.stack([lr for lr, _ in samples]), np.stack([hr for _, hr in samples])

    def _indices(self, number: int) -> Sequence[int]:
        count = len(self.pairs)
        positions = range(number * self.batch, (number + 1) * self.batch)
        epochs = {position // count for position in positions}
        orders = {e: stream_rng(self.seed, "order", self.name, e).permutation(count) for e in epochs}
        return [int(orders[position // count][position % count]) for position in positions]

    def _pair(self, index: int, number: int, place: int) -> tuple[np.ndarray, np.ndarray]:
        hr = self.pairs.hr[index]
        if self.pairs.degrade is None:
            return self.pairs.lr[index], hr
        return self.pairs.degrade(hr[..., :3], stream_rng(self.seed, "augment", self.name, number, place)), hr

    def _cut(self, lr: np.ndarray, hr: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if self.patch is None:
            return lr, hr
        scale, side = self.pairs.scale, self.patch // self.pairs.scale
        top = int(rng.integers(lr.shape[0] - side + 1))
        left = int(rng.integers(lr.shape[1] - side + 1))
        small = lr[top : top + side, left : left + side]
        large = hr[top * scale : top * scale + self.patch, left * scale : left * scale + self.patch]
        return small, large

    def _flipped(self, small: np.ndarray, large: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if not self.flips:
            return small, large
        turns = int(rng.integers(4)) if self.flips is True else 0
        step = -1 if rng.integers(2) else 1
        return np.rot90(small, turns)[:, ::step], np.rot90(large, turns)[:, ::step]
