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
    write_pixels(new_image_file(folder, image_id, suffix_of(file)), image, file)


def suffix_of(file: Literal["png"] | Jpeg) -> str:
    """What the names of such files end in."""
    return ".jpg" if isinstance(file, Jpeg) else ".png"


def write_pixels(path: Path, image: np.ndarray, file: Literal["png"] | Jpeg) -> None:
    """Write uint8 RGB to `path` in the format of `file`, whatever its suffix."""
    if isinstance(file, Jpeg):
        write_jpeg(path, image, file.jpeg)
    else:
        write_png(path, image)
