"""What a network's training images looked like, kept in its weights, so that an image unlike them is noticed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

import cv2
import numpy as np
from pydantic import Field

from leukosr.engine.header_note import HeaderNote
from leukosr.settings import PositiveInt

MOST = 500  # images that ranges are measured on
FAINT = 1.0  # grey levels between channels, on average, below which an image is grey
SAME = 0.3  # the same between ranges of channels: JPEG's rounding lies below it
MARGIN = 0.25  # of a range's width, on each side of it

Colour = Literal["mean red", "mean green", "mean blue", "sd of red", "sd of green", "sd of blue"]
Range = tuple[float, float]


def sharpness(image: np.ndarray) -> float:
    """log10 of 1 + the variance of the Laplacian of the grey image (Pech-Pacheco et al., ICPR 2000, section 2.3)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(np.log10(1 + cv2.Laplacian(grey, cv2.CV_64F).var()))


def colours(image: np.ndarray) -> dict[Colour, float]:
    """Mean and sd of each channel in grey levels: how a smear is stained and lit."""
    means, sds = cv2.meanStdDev(image)
    return dict(zip(get_args(Colour), map(float, (*means[:, 0], *sds[:, 0])), strict=True))


def is_grey(image: np.ndarray) -> bool:
    """Whether an image, uint8 RGB, has no colour but what JPEG may add to grey."""
    red, green, blue = cv2.split(image)
    return max(cv2.mean(cv2.absdiff(*pair))[0] for pair in ((red, green), (green, blue))) < FAINT


class TrainingImages(HeaderNote):
    """Smallest and largest values among the images that a network was trained on.

    count: how many there were. drawn: they were synthetic. height, width: in pixels. sharpness, colours: of the
    functions of these names.
    """

    key: ClassVar[str] = "training_images"

    count: PositiveInt
    drawn: bool
    height: Range
    width: Range
    sharpness: Range
    colours: Annotated[dict[Colour, Range], Field(min_length=6)]

    @classmethod
    def of(cls, count: int, read: Callable[[int], np.ndarray], *, drawn: bool) -> TrainingImages:
        """Measure images, uint8 RGB, which `read` gives by number: at most `MOST` of them, evenly spaced."""
        images = [read(place) for place in np.unique(np.linspace(0, count - 1, min(count, MOST)).astype(int)).tolist()]
        found = [colours(image) for image in images]
        return cls(
            count=count,
            drawn=drawn,
            height=_range([image.shape[0] for image in images]),
            width=_range([image.shape[1] for image in images]),
            sharpness=_range([sharpness(image) for image in images]),
            colours={name: _range([each[name] for each in found]) for name in get_args(Colour)},
        )

    @property
    def grey(self) -> bool:
        """Whether all of them were grey: then the ranges of all three channels are the same."""
        low, high = np.array(list(self.colours.values())).reshape(2, 3, 2).transpose(2, 1, 0)
        return bool(max(np.ptp(low, axis=0).max(), np.ptp(high, axis=0).max()) < SAME)

    def unlike(self, image: np.ndarray) -> list[str]:
        """What sets an image, uint8 RGB, apart from the training images, as phrases; empty where nothing does.

        A value is outside where it lies beyond the range by more than `MARGIN` of the range's width.
        """
        height, width = image.shape[:2]
        found = []
        if _outside(height, self.height) or _outside(width, self.width):
            trained = f"{_words(self.height)} x {_words(self.width)}"
            found.append(f"size {height} x {width}, trained on {trained} (height x width)")
        own = colours(image)
        if (grey := is_grey(image)) != self.grey:
            found.append("grey, trained on coloured images" if grey else "coloured, trained on grey images")
        odd = [name for name, known in self.colours.items() if _outside(own[name], known)]
        if odd:
            found.append(f"stain or light ({odd[0]} {own[odd[0]]:.0f}, trained on {_words(self.colours[odd[0]])})")
        if _outside(sharp := sharpness(image), self.sharpness):
            found.append("blurrier than trained on" if sharp < self.sharpness[0] else "sharper than trained on")
        return found


def cautions(header: Mapping[str, str], path: Path) -> list[str]:
    """What whoever uses a network should know of its training, as phrases to follow its name and a colon.

    header: of its weights, `path`. Raises LeukoError for a damaged one.
    """
    images = TrainingImages.read(header, path)
    found = []
    if images is None:
        found.append("no ranges stored, so nothing tells whether an image is unlike the training images")
    elif images.drawn:
        found.append("trained on drawn images, so that results on real ones mean nothing")
    if header.get("budget") == "smoke":
        found.append("trained on the smoke budget, which shows that the pipeline runs and no more")
    return found


def _range(values: Sequence[float]) -> Range:
    return min(values), max(values)


def _outside(value: float, known: Range) -> bool:
    margin = MARGIN * (known[1] - known[0])
    return not known[0] - margin <= value <= known[1] + margin


def _words(known: Range) -> str:
    low, high = (f"{value:.0f}" for value in known)
    return low if low == high else f"{low}–{high}"
