"""Random changes to training images of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field, model_validator

from leukosr.settings import NonNegative, Probability, Section

BRIGHTNESS = 0.3  # at strength 1: gain within 1 +- 0.3, shift within +- 0.3 of the range
CONTRAST = 0.3
GREY = 127.5


class Flip(Section):
    """A flip with probability 1/2 along each axis."""

    kind: Literal["flip"]
    axis: Literal["horizontal", "vertical", "both"] = Field(description="axis that is mirrored, with probability 1/2")


class Warp(Section):
    """A uniform draw within ± amount: degrees of a rotation, parts of the side (shift), slope (shear), factor - 1."""

    kind: Literal["rotation", "shift", "shear", "zoom"]
    amount: NonNegative = Field(
        description="most: degrees (rotation), parts of the side (shift), slope (shear), change of size (zoom)"
    )

    @model_validator(mode="after")
    def _stays_an_image(self) -> Warp:
        largest = 180 if self.kind == "rotation" else 0.9
        if self.amount > largest:
            raise ValueError(f"amount = {self.amount}: a {self.kind} is at most {largest}")
        return self


class Light(Section):
    """A uniform draw within ± amount: of the range (brightness), of the gain around grey (contrast)."""

    kind: Literal["brightness", "contrast"]
    amount: Probability = Field(
        description="largest change, as a part of the range (brightness) or of the gain (contrast)"
    )


class FlipsAndLight(Section):
    """Both flips, then contrast and brightness by up to 0.3 times the strength; at 0 nothing."""

    kind: Literal["flips_and_light"]
    strength: Probability = Field(description="strength of contrast and brightness, 1: up to 0.3; 0: no flips, either")


Augmentation = Annotated[Flip | Warp | Light | FlipsAndLight, Field(discriminator="kind")]


def augment(images: np.ndarray, changes: Sequence[Augmentation], rng: np.random.Generator) -> np.ndarray:
    """Change each image by draws of its own, in the order of the list; all warps of an image are one resampling.

    images: uint8 N x H x W x 3; the same type and shape comes back.
    """
    changes = [each for each in changes if not (isinstance(each, FlipsAndLight) and each.strength == 0)]
    if not changes:
        return images
    changed = np.empty_like(images)
    for number, image in enumerate(images):
        changed[number] = _changed(image, changes, rng)
    return changed


def _changed(image: np.ndarray, changes: Sequence[Augmentation], rng: np.random.Generator) -> np.ndarray:
    warp, levels = np.eye(3), np.arange(256.0)
    for change in changes:
        if isinstance(change, Flip):
            image = _flipped(image, rng, rows=change.axis != "horizontal", columns=change.axis != "vertical")
        elif isinstance(change, FlipsAndLight):
            image = _flipped(image, rng, rows=True, columns=True)
            gain = 1 + change.strength * CONTRAST * rng.uniform(-1, 1)
            shift = 255 * change.strength * BRIGHTNESS * rng.uniform(-1, 1)
            levels = (levels - GREY) * gain + GREY + shift
        elif isinstance(change, Warp):
            warp = _drawn(change, rng) @ warp
        elif change.kind == "contrast":
            levels = (levels - GREY) * (1 + change.amount * rng.uniform(-1, 1)) + GREY
        else:
            levels = levels + 255 * change.amount * rng.uniform(-1, 1)
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(_warped(image, warp)), table)  # table[image], in a tenth of the time


def _flipped(image: np.ndarray, rng: np.random.Generator, *, rows: bool, columns: bool) -> np.ndarray:
    steps = [-1 if wanted and rng.integers(2) else 1 for wanted in (rows, columns)]
    return image[:: steps[0], :: steps[1]]


def _drawn(change: Warp, rng: np.random.Generator) -> np.ndarray:
    """A 3 x 3 map of places, in which the centre of the image is 0 and its mean side is 1 long."""
    drawn = change.amount * rng.uniform(-1, 1)
    matrix = np.eye(3)
    if change.kind == "rotation":
        angle = np.deg2rad(drawn)
        matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    elif change.kind == "shift":
        matrix[:2, 2] = drawn, change.amount * rng.uniform(-1, 1)
    elif change.kind == "shear":
        matrix[0, 1] = drawn
    else:
        matrix[0, 0] = matrix[1, 1] = 1 + drawn
    return matrix


def _warped(image: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Bilinear, mirrored past the borders: a black corner would be a cue that no micrograph has."""
    if np.array_equal(warp, np.eye(3)):
        return image
    height, width = image.shape[:2]
    side = np.sqrt(height * width)  # one for both axes, or a rotation would shear
    to_pixels = np.array([[side, 0, (width - 1) / 2], [0, side, (height - 1) / 2], [0, 0, 1]])
    pixels = to_pixels @ warp @ np.linalg.inv(to_pixels)
    return cv2.warpAffine(
        np.ascontiguousarray(image),
        pixels[:2],
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
