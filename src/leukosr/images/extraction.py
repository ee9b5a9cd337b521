"""Cutting the cell out of an image. An extractor is a class, whose fields are its settings, and a line of `EXTRACTORS`.

Images are uint8 RGB, (H, W, 3), in and out.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from leukosr.images.resampling import Kernel, resize
from leukosr.settings import Count, Fraction, Section, Side

RGB = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the image; right and bottom are outside
Level = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Level, Level, Level]


@dataclass(frozen=True)
class Cell:
    """A cell that was found: its box, which pixels of the image it shows (H x W), and the crop, black around it."""

    box: Box
    shown: NDArray[np.bool_]
    crop: RGB

    @property
    def area(self) -> int:
        """Pixels of the image that are shown."""
        return int(self.shown.sum())


class Extractor(Section):
    """What every extractor has."""

    method: str
    size: tuple[Side, Side] = Field(
        default=(128, 128), description="[height, width] that crops are resized to, whatever their shape"
    )
    kernel: Kernel = Field(default="bilinear", description="kernel that resizes them")
    reference: tuple[Side, Side] = Field(
        default=(240, 320), description="[height, width] of the images that lengths in pixels are meant for"
    )
    erode: Count = Field(default=2, description="radius in pixels of the square that the mask is shrunk by")
    dilate: Count = Field(default=10, description="radius in pixels of the square that it is then grown by")

    @abstractmethod
    def cell(self, image: RGB) -> Cell | None:
        """The cell of an image; None where it finds none."""

    def shown(self, image: RGB, cell: Cell | None) -> RGB:
        """What a classifier sees: the crop or, without a cell, the whole image; (*size, 3)."""
        return cast(RGB, resize(image if cell is None else cell.crop, self.size, self.kernel))

    def scale_of(self, image: RGB) -> float:
        """How many times as long as in a `reference` image a length is, by the square root of the areas."""
        return float(np.sqrt(np.prod(image.shape[:2]) / np.prod(self.reference)))

    def regions(self, mask: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
        """A mask (0, 255) without its specks and with its borders moved out."""
        return cast(
            NDArray[np.uint8], cv2.dilate(cv2.erode(mask, _square(self.erode, scale)), _square(self.dilate, scale))
        )


class Stained(Extractor):
    """By colour: what the two extractors that know the stain have in common."""

    lower: Colour = Field(default=(80, 80, 180), description="lowest RGB of a stained pixel")
    upper: Colour = Field(default=(180, 170, 245), description="highest RGB of a stained pixel")
    padding: Count = Field(default=10, description="pixels that the image is padded by")
    padding_colour: Colour = Field(default=(198, 203, 208), description="RGB of these pixels")
    canny: tuple[Count, Count] = Field(
        default=(100, 400), description="thresholds of Canny's edges of the mask, which are closed and outlined"
    )

    @model_validator(mode="after")
    def _some_colour_is_stained(self) -> Self:
        if any(low > high for low, high in zip(self.lower, self.upper, strict=True)):
            raise ValueError(f"lower = {self.lower} must not exceed upper = {self.upper} in any channel")
        return self

    def outlines(self, image: RGB, scale: float) -> tuple[list[NDArray[Any]], RGB, int]:
        """The outlines of what has the colours, smallest area first; the padded image they lie in, and by how much."""
        around = round(self.padding * scale)
        padded = cv2.copyMakeBorder(
            image, around, around, around, around, cv2.BORDER_CONSTANT, value=self.padding_colour
        )
        mask = self.regions(cast(NDArray[np.uint8], cv2.inRange(padded, self.lower, self.upper)), scale)
        closed = cv2.morphologyEx(cv2.Canny(mask, *self.canny), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        return _outlined(closed), cast(RGB, padded), around


class Published(Stained):
    """The notebooks of 001_…, step by step, with what they lose: a box that leaves the padded image loses the cell.

    A radius of 2 is their erosion by 3x3 twice, 10 their dilation by 5x5 five times; their Gaussian blur of 1x1 changes
    nothing. The crop shows what the largest outline contains within the upright hull of the smallest rotated rectangle
    around the last outline whose rectangle has an area. Lengths are in pixels whatever the size of the image.
    """

    method: Literal["published"]

    def cell(self, image: RGB) -> Cell | None:
        """A negative corner counts from the end, as in NumPy's slices, which leaves a strip or, mostly, nothing."""
        outlines, padded, around = self.outlines(image, 1.0)
        boxes = [box for box in map(_corners, outlines) if box is not None]
        if not boxes:
            return None
        start, stop = boxes[-1].min(axis=0), boxes[-1].max(axis=0)
        columns, rows = (range(n)[a:b] for n, a, b in zip(padded.shape[1::-1], start, stop, strict=True))
        return _cut(padded, around, outlines[-1], (columns.start, rows.start, columns.stop, rows.stop))


class ScaleAware(Stained):
    """The same with lengths that grow with the image, and a box that is cut off where it leaves the image."""

    method: Literal["scale_aware"]

    def cell(self, image: RGB) -> Cell | None:
        """The box is that of the outline that is shown."""
        outlines, padded, around = self.outlines(image, self.scale_of(image))
        if not outlines or (corners := _corners(outlines[-1])) is None:
            return None
        return _cut(padded, around, outlines[-1], (*np.maximum(corners.min(axis=0), 0), *corners.max(axis=0)))


class Otsu(Extractor):
    """The largest region of high saturation, by Otsu's threshold: no colour of a stain is given.

    Lengths grow with the image. (Otsu, IEEE Trans. SMC 9, 1979.)
    """

    method: Literal["otsu"]
    blur: float = Field(default=2.0, gt=0, le=50, description="sd in pixels of the Gaussian before the threshold")
    least: Fraction = Field(default=0.005, description="smallest region that is a cell, as a fraction of the image")

    def cell(self, image: RGB) -> Cell | None:
        """None for an image of one saturation, too."""
        scale = self.scale_of(image)
        saturation = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1], (0, 0), self.blur * scale)
        if saturation.min() == saturation.max():
            return None
        _, mask = cv2.threshold(saturation, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        outlines = _outlined(self.regions(cast(NDArray[np.uint8], mask), scale))
        if not outlines or cv2.contourArea(outlines[-1]) < self.least * saturation.size:
            return None
        left, top, width, height = cv2.boundingRect(outlines[-1])
        return _cut(image, 0, outlines[-1], (left, top, left + width, top + height))


EXTRACTORS: dict[str, type[Extractor]] = {
    "published": Published,
    "scale_aware": ScaleAware,
    "otsu": Otsu,
}

if TYPE_CHECKING:
    AnyExtractor = Extractor
else:  # the union over the registry, told apart by `method`
    AnyExtractor = Annotated[reduce(or_, EXTRACTORS.values()), Field(discriminator="method")]


def _square(radius: int, scale: float) -> NDArray[np.uint8]:
    side = 2 * round(radius * scale) + 1
    return np.ones((side, side), np.uint8)


def _outlined(mask: NDArray[Any]) -> list[NDArray[Any]]:
    """The outer outlines of a mask, smallest area first."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return sorted(outlines, key=cv2.contourArea)


def _corners(outline: NDArray[Any]) -> NDArray[np.int64] | None:
    """The corners (x, y) of the smallest rotated rectangle, without their fractions; None where it has no area."""
    corners = cv2.boxPoints(cv2.minAreaRect(outline)).astype(np.int64)
    first, second, third, _ = corners
    return None if (first == second).all() or (second == third).all() else corners


def _cut(padded: RGB, around: int, outline: NDArray[Any], box: tuple[int, ...]) -> Cell | None:
    """What an outline contains within a box of an image that is padded by `around`; None where the box is empty."""
    left, top, right, bottom = map(int, box)
    inside: NDArray[np.uint8] = np.zeros(padded.shape[:2], np.uint8)
    cv2.drawContours(inside, [outline], -1, 1, cv2.FILLED)
    kept: NDArray[np.bool_] = np.zeros(padded.shape[:2], bool)
    kept[top:bottom, left:right] = inside[top:bottom, left:right] > 0
    crop = np.where(kept[..., None], padded, 0)[top:bottom, left:right].astype(np.uint8)
    if not crop.size:
        return None
    shown = kept[around : kept.shape[0] - around, around : kept.shape[1] - around]
    height, width = shown.shape
    left, right = (min(max(each - around, 0), width) for each in (left, right))
    top, bottom = (min(max(each - around, 0), height) for each in (top, bottom))
    return Cell((left, top, right, bottom), shown, crop)
