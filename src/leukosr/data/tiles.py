"""Large images cut into tiles, each an image of its own that keeps the name of what it was cut from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import new_folder
from leukosr.images.listing import list_files
from leukosr.images.reading import read_rgb, write_png
from leukosr.quoting import require_folder


@dataclass(frozen=True)
class Cut:
    """What was cut: images, tiles, and the pixels at right and bottom that filled no tile, by image."""

    images: int
    tiles: int
    left_over: dict[str, int]


def tiles_of(image: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[int, int, np.ndarray]]:
    """Top, left and pixels of every whole tile of `size` (height, width), row by row from the top left."""
    height, width = size
    for top in range(0, image.shape[0] - height + 1, height):
        for left in range(0, image.shape[1] - width + 1, width):
            yield top, left, image[top : top + height, left : left + width]


def cut_folder(source: Path, target: Path, size: tuple[int, int]) -> Cut:
    """Write the tiles of every image below `source` to `target`, as a/NAME_y0200_x0400.png of a/NAME.tif.

    y and x are the tile's first row and column. Raises LeukoError for a file that is no 8-bit RGB image, for an image
    smaller than a tile, and for two that differ only in their suffix; then nothing is written.
    """
    files = list_files(require_folder(source, "name a folder of images to cut"), without=target)
    if not files:
        raise LeukoError(f"{source} holds no images: name a folder of images to cut")
    done: dict[str, Path] = {}
    left_over, count = {}, 0
    with new_folder(target) as folder:
        for file in track(files, len(files), "cutting tiles"):
            name = file.path.relative_to(source)
            if file.reason is not None:
                raise LeukoError(f"{name} {file.reason}: take it away, or name a folder without it")
            stem = name.with_suffix("").as_posix()
            if (other := done.setdefault(stem, name)) != name:
                raise LeukoError(f"{other} and {name} differ only in their suffix: rename one")
            image, tiles = read_rgb(file.path), 0
            for top, left, tile in tiles_of(image, size):
                write_png(folder / f"{stem}_y{top:04d}_x{left:04d}.png", tile)
                tiles += 1
            if not tiles:
                height, width = image.shape[:2]
                raise LeukoError(
                    f"{name} is {height}x{width} (height x width), smaller than a tile of {size[0]}x{size[1]}"
                )
            count += tiles
            if rest := image.shape[0] * image.shape[1] - tiles * size[0] * size[1]:
                left_over[name.as_posix()] = rest
    return Cut(len(files), count, left_over)
