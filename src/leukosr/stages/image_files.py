"""Writing the images of a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from leukosr.config import Jpeg
from leukosr.images.reading import write_jpeg, write_png
from leukosr.layout import new_image_file


def write_image(folder: Path, image_id: str, image: np.ndarray, file: Literal["png"] | Jpeg) -> None:
    """Write uint8 RGB to folder/<image_id>.png, or .jpg; the folder is made."""
    if isinstance(file, Jpeg):
        write_jpeg(new_image_file(folder, image_id, ".jpg"), image, file.jpeg)
    else:
        write_png(new_image_file(folder, image_id), image)
