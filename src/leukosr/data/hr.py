"""High-resolution originals at the size that the study compares."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leukosr.images.reading import fit_to, read_rgb
from leukosr.images.resampling import resize
from leukosr.images.settings import Image


def read_hr(path: Path, image: Image) -> np.ndarray:
    """One original as uint8 RGB, image.height x image.width x 3. Raises LeukoError that names the file."""
    if image.degraded_at is None:
        return read_to_degrade(path, image)
    return resize(read_to_degrade(path, image), (image.height, image.width), image.enlarging)


def read_to_degrade(path: Path, image: Image) -> np.ndarray:
    """One original as uint8 RGB at the size that its LR image is made from: `degraded_at`, or else the HR size."""
    height, width = image.degraded_at or (image.height, image.width)
    return fit_to(read_rgb(path), height, width, image.fit, image.kernel)
