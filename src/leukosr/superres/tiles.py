"""An image in overlapping tiles, and what was made of them put together again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from leukosr.errors import LeukoError

LEAST = 4  # that `tile` may be: with 2, networks that fold pairs of pixels can be given a single one


@dataclass(frozen=True)
class Tiles:
    """Tiles of at most `tile` LR pixels of an image of `size` (height, width); neighbours share at least `overlap`.

    They lie in as few rows and columns as possible and are no larger than that needs: what is shared is computed twice.
    Each starts at a multiple of `grid`, an even number: that of the network's contract. Raises LeukoError for tiles of
    fewer than `LEAST` pixels or smaller than the grid, and an overlap that leaves less than that of one.
    """

    size: tuple[int, int]
    scale: int
    tile: int
    overlap: int
    grid: int = 2

    def __post_init__(self) -> None:
        """Refuse tiles that are too small, and an overlap that leaves too little."""
        if self.tile < (least := max(LEAST, self.grid)):
            raise LeukoError(f"upscale: tile is {self.tile}: give 0, for whole images, or {least} or more")
        if self.tile - self.overlap < self.grid:
            raise LeukoError(
                f"upscale: overlap {self.overlap} must be smaller than tile {self.tile} by {self.grid} pixels or more, "
                f"as tiles for this network start at multiples of {self.grid}"
            )

    def low(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """The tiles of the LR image, row by row."""
        return (image[rows.read(1), columns.read(1)] for rows, columns in self._spans)

    def enlarged(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """The same tiles of an image that is `scale` times as large."""
        return (image[rows.read(self.scale), columns.read(self.scale)] for rows, columns in self._spans)

    def joined(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        """One image of enlarged tiles, of any dtype and number of channels; half of an overlap is thrown away."""
        result = None
        for (rows, columns), part in zip(self._spans, parts, strict=True):
            if result is None:
                height, width = (self.scale * side for side in self.size)
                result = np.empty((height, width, *part.shape[2:]), part.dtype)
            result[rows.outer(self.scale), columns.outer(self.scale)] = part[
                rows.inner(self.scale), columns.inner(self.scale)
            ]
        assert result is not None
        return result

    @property
    def _spans(self) -> Iterator[tuple[_Span, _Span]]:
        rows, columns = (_spans(side, self.tile, self.overlap, self.grid) for side in self.size)
        return product(rows, columns)


class _Span:
    """One tile along one axis: read start..stop, keep keep_from..keep_to."""

    def __init__(self, start: int, stop: int, keep_from: int, keep_to: int) -> None:
        self.start, self.stop, self.keep_from, self.keep_to = start, stop, keep_from, keep_to

    def read(self, scale: int) -> slice:
        return slice(self.start * scale, self.stop * scale)

    def inner(self, scale: int) -> slice:
        return slice((self.keep_from - self.start) * scale, (self.keep_to - self.start) * scale)

    def outer(self, scale: int) -> slice:
        return slice(self.keep_from * scale, self.keep_to * scale)


def _spans(size: int, tile: int, overlap: int, grid: int) -> Iterator[_Span]:
    """Cover an axis with tiles that start at multiples of `grid`; the last is moved inwards, and may be shorter for it.

    A network that folds or pools so many pixels together then does so as in the whole image.
    """
    if size <= tile:
        yield _Span(0, size, 0, size)
        return
    length = _length(size, tile, overlap, grid)
    step = _step(length, overlap, grid)
    starts = [*range(0, size - length, step), -(-(size - length) // grid) * grid]
    for number, start in enumerate(starts):
        keep_from = 0 if number == 0 else (starts[number - 1] + length + start + 1) // 2
        last = number == len(starts) - 1
        keep_to = size if last else (start + length + starts[number + 1] + 1) // 2
        yield _Span(start, size if last else start + length, keep_from, keep_to)


def _length(size: int, tile: int, overlap: int, grid: int) -> int:
    """The shortest tiles that are no more than those of `tile` pixels."""
    fewest, lengths = _inner(size, tile, overlap, grid), range(overlap + grid, tile + 1)
    return next(length for length in lengths if _inner(size, length, overlap, grid) == fewest)


def _inner(size: int, length: int, overlap: int, grid: int) -> int:
    """How many tiles there are beside the last."""
    return -(-(size - length) // _step(length, overlap, grid))


def _step(length: int, overlap: int, grid: int) -> int:
    return (length - overlap) // grid * grid
