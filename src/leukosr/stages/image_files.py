"""Writing the images of a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from leukosr.config import Jpeg
from leukosr.images.reading import write_jpeg, write_png
from leukosr.layout import new_image_file

Format = Literal["png", "npy"] | Jpeg


def files_of(folder: Path, image_id: str, file: Format) -> tuple[Path, ...]:
    """The files of an image, <image_id>.png or .jpg the last: with `npy`, what no PNG can hold stands before it."""
    if isinstance(file, Jpeg):
        return (new_image_file(folder, image_id, ".jpg"),)
    exact = (new_image_file(folder, image_id, ".npy"),) if file == "npy" else ()
    return (*exact, new_image_file(folder, image_id))


def write_image(folder: Path, image_id: str, image: np.ndarray, file: Format) -> None:
    """Write the files of an RGB image, uint8 or float32 in grey levels (the .npy holds float32); the folder is made."""
    *exact, shown = files_of(folder, image_id, file)
    rounded = image if image.dtype == np.uint8 else np.clip(np.rint(image), 0, 255).astype(np.uint8)
    if isinstance(file, Jpeg):
        write_jpeg(shown, rounded, file.jpeg)
    else:
        write_png(shown, rounded)
    for path in exact:
        np.save(path, image.astype(np.float32))
