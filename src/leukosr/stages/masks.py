"""The masks of images at the size of the study, for stages whose networks need them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leukosr.config import Params
from leukosr.data.manifest import Row
from leukosr.data.mask_files import mask_file
from leukosr.engine.seeding import stream_rng
from leukosr.errors import LeukoError
from leukosr.images.masks import read_hr_mask
from leukosr.images.store import ImageStore


def masks_for(rows: Sequence[Row], params: Params, shuffled_by: int | None) -> ImageStore[Row]:
    """The mask of each row's original, uint8 image.height x image.width.

    shuffled_by: the seed by which each row gets the mask of another one; None: its own. Raises LeukoError for a row
    without a mask.
    """
    root = Path(params.prepare.root)
    for row in rows:
        mask_file(root, row)

    def read(row: Row) -> np.ndarray:
        return read_hr_mask(mask_file(root, row), (row.height, row.width), params.image)

    return ImageStore(list(rows) if shuffled_by is None else _others(rows, shuffled_by), read)


def _others(rows: Sequence[Row], seed: int) -> list[Row]:
    """For each row another one, by one random cycle through all of them; no row is taken twice."""
    if len(rows) == 1:
        raise LeukoError(f"{rows[0].id} is the only image of its part, so it cannot get another's mask: add images")
    circle = [int(place) for place in stream_rng(seed, "order", "masks").permutation(len(rows))]
    following = dict(zip(circle, [*circle[1:], *circle[:1]], strict=True))
    return [rows[following[place]] for place in range(len(rows))]
