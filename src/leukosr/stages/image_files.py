"""Writing the images of a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from leukosr.config import Jpeg
from leukosr.images.reading import write_jpeg, write_png
from leukosr.layout import new_image_file


def write_image(folder: Path, image_id: str, image: np.ndarray, file: Literal["png", "npy"] | Jpeg) -> None:
    """Write an RGB image, uint8 or float32 in grey levels, to folder/<image_id>.png or .jpg; the folder is made.

    `npy` also keeps what no PNG can hold, as float32 in <image_id>.npy.
    """
    rounded = image if image.dtype == np.uint8 else np.clip(np.rint(image), 0, 255).astype(np.uint8)
    if isinstance(file, Jpeg):
        write_jpeg(new_image_file(folder, image_id, ".jpg"), rounded, file.jpeg)
        return
    write_png(new_image_file(folder, image_id), rounded)
    if file == "npy":
        np.save(new_image_file(folder, image_id, ".npy"), image.astype(np.float32))
