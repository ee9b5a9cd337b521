"""The images that an arm is made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from leukosr.config import Arm
from leukosr.data.manifest import Row
from leukosr.images.reading import read_hr, read_rgb_of
from leukosr.layout import RESTORE, image_file, require, require_all, stage_again
from leukosr.stages.context import Context


def given_images(context: Context, settings: Arm, rows: Sequence[Row]) -> Iterator[np.ndarray]:
    """The images of rows, low-resolution or original, uint8 RGB."""
    image = context.params.image
    for file in given_files(context, settings, rows):
        if settings.made_from == "original":
            yield read_hr(file, image)
        else:
            yield read_rgb_of(file, settings.given_shape(image), stage_again("degrade"))


def given_files(context: Context, settings: Arm, rows: Sequence[Row]) -> Sequence[Path]:
    """Their files. Raises LeukoError where one is not there."""
    if settings.made_from == "original":
        return require_all([Path(context.params.prepare.root) / row.path for row in rows], RESTORE)
    files = [image_file(require(context.layout.lr, "degrade"), row.id) for row in rows]
    return require_all(files, stage_again("degrade"))
