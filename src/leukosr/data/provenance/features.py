"""The description by which an image is recognised: SIFT features and a small band-passed picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from leukosr.images.reading import read_rgb

SIDE = 320  # the longer side at which features are found
DETAIL = 160  # side of the square that holds the small picture
FILL = 12  # grey levels up to which a region at the border counts as fill


@dataclass(frozen=True)
class Features:
    """Features of one image. Coordinates are pixels (x, y) of the small picture.

    points: float32, (n, 2). descriptors: uint8, (n, 128), OpenCV's SIFT. detail: int8, (DETAIL, DETAIL), the
    band-passed image, 0 outside of it. content: bool, (DETAIL, DETAIL), false on fill and outside.
    """

    points: np.ndarray
    descriptors: np.ndarray
    detail: np.ndarray
    content: np.ndarray


def describe(path: Path, max_features: int) -> Features:
    """Read an image (uint8 RGB) and describe it. Raises LeukoError that names an unreadable file."""
    cv2.setNumThreads(1)  # the workers are the parallelism
    return describe_image(read_rgb(path), max_features)


def describe_image(image: np.ndarray, max_features: int) -> Features:
    """Describe an image, uint8 RGB, (H, W, 3), any size."""
    zoom = SIDE / max(image.shape[:2])
    if zoom != 1:
        size = (max(1, round(image.shape[1] * zoom)), max(1, round(image.shape[0] * zoom)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
    green = np.ascontiguousarray(image[..., 1])  # where the stains absorb, so where cells have contrast
    content = _content(image)
    inside = cv2.erode(content.astype(np.uint8), np.ones((9, 9), np.uint8))  # edges of the fill are not features
    sift = cv2.SIFT.create(nfeatures=max_features, contrastThreshold=0.008)
    points, descriptors = sift.detectAndCompute(green, inside)
    found = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
    kept = np.zeros((0, 128), np.uint8) if descriptors is None else descriptors.astype(np.uint8)
    detail, mask = _detail(green, content)
    return Features(found * (DETAIL / SIDE), kept, detail, mask)


def mirrored(descriptors: np.ndarray) -> np.ndarray:
    """The SIFT descriptors that the mirror image has: rows across the orientation and angles change sign."""
    cells = descriptors.reshape(-1, 4, 4, 8)
    turned = np.concatenate([cells[..., :1], cells[..., :0:-1]], axis=-1)
    return np.ascontiguousarray(turned[:, ::-1]).reshape(-1, 128)


def _content(image: np.ndarray) -> np.ndarray:
    """False on black fill: dark regions that touch the border of the image."""
    dark = (image.max(2) <= FILL).astype(np.uint8)
    framed = cv2.copyMakeBorder(dark, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    filled = framed.copy()
    cv2.floodFill(filled, None, (0, 0), 2)
    return np.asarray(filled[1:-1, 1:-1] != 2)


def _detail(green: np.ndarray, content: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The band between blurs of about 1 and 6 pixels, as fill and brightness do not change it, at half the size."""
    inside = content.astype(np.float32)
    values = green.astype(np.float32) * inside
    near, far = (
        cv2.GaussianBlur(values, (0, 0), s) / np.maximum(cv2.GaussianBlur(inside, (0, 0), s), 0.05) for s in (1.2, 6)
    )
    band = np.clip((near - far) * 2, -127, 127) * inside
    height, width = (max(1, round(side * DETAIL / SIDE)) for side in green.shape)
    detail, mask = np.zeros((DETAIL, DETAIL), np.int8), np.zeros((DETAIL, DETAIL), bool)
    detail[:height, :width] = np.rint(cv2.resize(band, (width, height), interpolation=cv2.INTER_AREA)).astype(np.int8)
    mask[:height, :width] = cv2.resize(inside, (width, height), interpolation=cv2.INTER_AREA) > 0.99
    return detail, mask
