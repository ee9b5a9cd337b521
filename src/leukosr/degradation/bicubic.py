"""Plain antialiased bicubic down-sampling, the classical super-resolution benchmark's degradation."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from leukosr.degradation.checks import Image8, OfImage, require, require_kernel
from leukosr.degradation.plain import Plain, PlainSettings
from leukosr.images.resampling import Kernel

FACTORS = (2, 4, 8)


@dataclass(frozen=True)
class BicubicSettings:
    """Antialiased bicubic down-sampling by 2, 4 or 8."""

    scale: OfImage[int] = 4
    kernel: Annotated[
        Kernel,
        Field(description="resampling kernel; pillow_bicubic equals the imresize of MATLAB"),
    ] = "pillow_bicubic"

    def __post_init__(self) -> None:
        """Refuse another scale or an unknown kernel with LeukoError."""
        valid = isinstance(self.scale, int) and self.scale in FACTORS
        require(valid, "scale", self.scale, f"one of {', '.join(map(str, FACTORS))}")
        require_kernel(self.kernel)


@dataclass(frozen=True)
class Bicubic:
    """Shrink, nothing else."""

    Settings: ClassVar[type[BicubicSettings]] = BicubicSettings
    settings: BicubicSettings

    def __call__(self, hr: Image8, rng: np.random.Generator) -> Image8:
        """Make the LR image of `hr`, as `Plain` does without a blur."""
        return Plain(PlainSettings(self.settings.scale, self.settings.kernel))(hr, rng)
