"""Shrinking alone, as the public code of Ferdousi et al. 2024 (001) does it, or after the blur that its text names."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, cast

import cv2
import numpy as np
from pydantic import Field

from leukosr.degradation.checks import (
    Image8,
    OfImage,
    low_resolution_size,
    require_integer,
    require_kernel,
    require_non_negative,
)
from leukosr.images.resampling import Kernel, resize


@dataclass(frozen=True)
class PlainSettings:
    """Shrinking alone, or after a Gaussian blur."""

    scale: OfImage[int] = 4
    kernel: Annotated[Kernel, Field(description="resampling kernel; bilinear is not antialiased")] = "bilinear"
    blur: Annotated[float, Field(description="sd of a Gaussian before it, in HR pixels; 0: no blur")] = 0.0

    def __post_init__(self) -> None:
        """Refuse values that the degradation cannot run with LeukoError."""
        require_integer(self.scale, "scale", 2, 16)
        require_kernel(self.kernel)
        require_non_negative(self.blur, "blur")


@dataclass(frozen=True)
class Plain:
    """Blur or not, then shrink."""

    Settings: ClassVar[type[PlainSettings]] = PlainSettings
    settings: PlainSettings

    def __call__(self, hr: Image8, rng: np.random.Generator) -> Image8:
        """Make the LR image of `hr`; `rng` is not used, since nothing is random here.

        hr: uint8 RGB, (H, W, 3). Returns uint8 RGB, (H / scale, W / scale, 3), rounded up. Raises LeukoError for
        another dtype or shape.
        """
        lr_size, sigma = low_resolution_size(hr, self.settings.scale), self.settings.blur
        blurred = cv2.GaussianBlur(hr, (0, 0), sigma) if sigma else hr  # (0, 0): the kernel's side follows from sigma
        return cast(Image8, resize(blurred, lr_size, self.settings.kernel))
