"""Plain antialiased bicubic down-sampling, the classical super-resolution benchmark's degradation."""

from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from leukosr.degradation.checks import Image8, OfImage, low_resolution_size, require
from leukosr.images.resampling import RESAMPLING, Kernel, resize

FACTORS = (2, 4, 8)


@dataclass(frozen=True)
class BicubicSettings:
    """scale: 2, 4 or 8. kernel: `pillow_bicubic` equals the MATLAB imresize of the published study."""

    scale: OfImage[int] = 4
    kernel: Kernel = "pillow_bicubic"

    def __post_init__(self) -> None:
        """Refuse another scale or an unknown kernel with LeukoError."""
        valid = isinstance(self.scale, int) and self.scale in FACTORS
        require(valid, "scale", self.scale, f"one of {', '.join(map(str, FACTORS))}")
        require(self.kernel in RESAMPLING, "kernel", self.kernel, f"one of {', '.join(RESAMPLING)}")


@dataclass(frozen=True)
class Bicubic:
    """Shrink, nothing else."""

    Settings: ClassVar[type[BicubicSettings]] = BicubicSettings
    settings: BicubicSettings

    def __call__(self, hr: Image8, rng: np.random.Generator) -> Image8:
        """Make the LR image of `hr`; `rng` is not used, since nothing is random here.

        hr: uint8 RGB, (H, W, 3). Returns uint8 RGB, (H / scale, W / scale, 3), rounded up. Raises LeukoError for
        another dtype or shape.
        """
        lr_size = low_resolution_size(hr, self.settings.scale)
        return cast(Image8, resize(hr, lr_size, self.settings.kernel))
