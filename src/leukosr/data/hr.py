"""High-resolution originals at the size of the study."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leukosr.config import Image
from leukosr.images.reading import fit_to, read_rgb


def read_hr(path: Path, image: Image) -> np.ndarray:
    """One original as uint8 RGB, image.height x image.width x 3. Raises LeukoError that names the file."""
    return fit_to(read_rgb(path), image.height, image.width, image.fit, image.kernel)
