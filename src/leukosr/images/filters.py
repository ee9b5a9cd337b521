"""Filters that an arm may apply: an enhancement that needs no training. A filter is a function and a line in `FILTERS`.

Images are uint8 RGB, (H, W, 3), in and out. The keyword arguments of a filter, with their limits and defaults, are its
settings in params.yaml.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

RGB = NDArray[np.uint8]
Filter = Callable[..., RGB]


def unsharp(
    image: RGB,
    *,
    sigma: Annotated[float, Field(gt=0, le=50, description="sd of the blur in pixels")] = 1.0,
    amount: Annotated[float, Field(gt=0, le=10, description="how much of the difference is added")] = 1.0,
) -> RGB:
    """Unsharp masking: add `amount` times what a Gaussian blur of `sigma` pixels takes away (Gonzalez & Woods, 3.6)."""
    blurred = cv2.GaussianBlur(image, (0, 0), sigma)
    return cast(RGB, cv2.addWeighted(image, 1 + amount, blurred, -amount, 0))


def clahe(
    image: RGB,
    *,
    clip_limit: Annotated[
        float, Field(gt=0, le=100, description="times the mean of a histogram, where it is cut off")
    ] = 2.0,
    tiles: Annotated[int, Field(ge=1, le=64, description="histograms per side")] = 8,
) -> RGB:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994) of L in CIELAB.

    `tiles` a side have a histogram each, cut off at `clip_limit` times its mean. Colours keep their a and b.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clip_limit, (tiles, tiles)).apply(np.ascontiguousarray(lab[..., 0]))
    return cast(RGB, cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def median(
    image: RGB, *, window: Annotated[Literal[3, 5, 7, 9, 11], Field(description="side of the window in pixels")] = 3
) -> RGB:
    """The median of `window` x `window` pixels, channel by channel (Tukey, Exploratory Data Analysis, 1977)."""
    return cast(RGB, cv2.medianBlur(image, window))


FILTERS: dict[str, Filter] = {
    "unsharp": unsharp,
    "clahe": clahe,
    "median": median,
}
