"""How well an extracted cell agrees with the nucleus that a mask shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukosr.images.extraction import Box, Cell
from leukosr.images.masks import NUCLEUS


@dataclass(frozen=True)
class Agreement:
    """iou: of the cell's box and the nucleus's. coverage: the part of the nucleus that the crop shows. Both in 0..1."""

    iou: float
    coverage: float


def agreement(cell: Cell, mask: NDArray[np.uint8]) -> Agreement | None:
    """Of a cell and the mask of its image (H x W, values of `images.masks`); None where the mask has no nucleus."""
    nucleus = mask == NUCLEUS
    if not nucleus.any():
        return None
    rows, columns = (np.flatnonzero(nucleus.any(axis=axis)) for axis in (1, 0))
    truth = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    return Agreement(box_iou(cell.box, truth), float(cell.shown[nucleus].mean()))


def box_iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes with areas above 0."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0) * max(height, 0)
    return common / (_area(first) + _area(second) - common)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


@dataclass(frozen=True)
class ExtractorScores:
    """Of one extractor: images, cells found, and means over the found cells of images with a nucleus (None: none)."""

    images: int
    found: int
    compared: int
    iou: float | None
    coverage: float | None


def extractor_scores(images: int, found: Sequence[Agreement | None]) -> ExtractorScores:
    """The scores of an extractor that found a cell in so many of the images."""
    known = [each for each in found if each is not None]
    iou, coverage = (
        float(np.mean([getattr(each, name) for each in known])) if known else None for name in ("iou", "coverage")
    )
    return ExtractorScores(images, len(found), len(known), iou, coverage)
