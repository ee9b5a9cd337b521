"""An affine map of colours, fitted by least squares: 12 numbers, the smallest thing that can learn from pairs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def fit_colour_map(pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> NDArray[np.float64]:
    """The (4, 3) matrix that takes (R, G, B, 1) of the first images nearest to R, G, B of the second, in grey levels.

    Each pair is uint8 RGB of one size, H x W x 3; every pixel counts alike. Where several maps are equally near, as
    for images of one colour, it is the one with the smallest coefficients. Raises ValueError without a pair.
    """
    squares, products, pixels = np.zeros((4, 4)), np.zeros((4, 3)), 0
    for given, wanted in pairs:
        flat = np.column_stack([given.reshape(-1, 3).astype(np.float64), np.ones(given.size // 3)])
        squares += flat.T @ flat
        products += flat.T @ wanted.reshape(-1, 3)
        pixels += len(flat)
    if not pixels:
        raise ValueError("there are no images to fit a colour map to")
    return np.asarray(np.linalg.lstsq(squares / pixels, products / pixels)[0], np.float64)


def with_colour_map(image: NDArray[np.uint8], colours: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The image, uint8 RGB, with every colour mapped, rounded and cut to 0..255."""
    return np.asarray(np.clip(np.rint(image @ colours[:3] + colours[3]), 0, 255), np.uint8)
