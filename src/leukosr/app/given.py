"""A user's image: read, degraded as in the study if it is an original, and what was made of it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from leukosr.config import Params
from leukosr.degradation import DEGRADATIONS, image_rng
from leukosr.engine.seeding import stream_seed
from leukosr.errors import LeukoError
from leukosr.images.decoding import MAX_PIXELS
from leukosr.images.reading import as_hr, large_enough, read_bytes, read_rgb, to_degrade
from leukosr.layout import image_file
from leukosr.stages.degrade import degradation_settings
from leukosr.stages.image_files import Format, write_image


@dataclass(frozen=True)
class Note:
    """What something on the page is worth: its label, and a phrase."""

    of: str
    text: str


@dataclass(frozen=True)
class Version:
    """An image as an arm shows it, uint8 RGB.

    notes: what it is worth. unlike: what sets the image that its network saw apart from the training images.
    """

    image: np.ndarray
    notes: list[Note] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Given:
    """A user's image, uint8 RGB: its file, the LR image and, if it is an original, the HR image; then what was made.

    maps: Grad-CAM overlays by the name of the experiment.
    """

    file: np.ndarray
    low: np.ndarray
    high: np.ndarray | None
    versions: dict[str, Version] = field(default_factory=dict)
    maps: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def originals(self) -> tuple[np.ndarray, np.ndarray]:
        """The file and the HR image. Raises LeukoError for an LR image."""
        if self.high is None:
            raise LeukoError("it is made from originals: say that the image is one")
        return self.file, self.high


def given_image(params: Params, content: bytes, original: bool, most_pixels: int, name: str | None = None) -> Given:
    """The image in the bytes of a file: low-resolution as it is or, if it is an `original`, degraded as in the study.

    most_pixels: of the low-resolution image, which is what networks see. name: of the file, if it is known. Raises
    LeukoError for a file that cannot be used.
    """
    file = large_enough(read_bytes(content, MAX_PIXELS if original else most_pixels, name), "the image")
    if not original:
        return Given(file, file, None)
    cut = to_degrade(file, params.image)
    degradation = DEGRADATIONS[params.degrade.method](degradation_settings(params))
    low = degradation(cut, image_rng(stream_seed(params.study.seed, "degrade"), "given"))
    height, width = low.shape[:2]
    if height * width > most_pixels:
        raise LeukoError(
            f"the study reduces originals to {height}x{width} pixels, more than the {most_pixels:,} that are taken "
            f"here: start the app with --max-pixels {height * width}"
        )
    return Given(file, as_stored(low, params.degrade.file), as_hr(cut, params.image))


def as_stored(image: np.ndarray, file: Format) -> np.ndarray:
    """What classifiers read after an image was written in the format of its arm."""
    if file == "png":
        return image
    with tempfile.TemporaryDirectory() as folder:
        write_image(Path(folder), "image", image, file)
        return read_rgb(image_file(Path(folder), "image"))
