"""The degradation that the case studies ran."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, cast, get_args

import cv2
import numpy as np
from pydantic import Field

from leukosr.degradation.checks import (
    Image8,
    OfImage,
    low_resolution_size,
    require,
    require_integer,
    require_kernel,
    require_non_negative,
)
from leukosr.degradation.jpeg import jpeg
from leukosr.degradation.noise import add_signed_noise, add_wrapped_noise
from leukosr.images.resampling import Kernel, resize

Noise = Literal["wrapped", "gaussian"]


@dataclass(frozen=True)
class CapstoneSettings:
    """What the script of the case studies sets; the defaults are the published ones."""

    scale: OfImage[int] = 4
    noise: Annotated[
        Noise,
        Field(description="wrapped: as published, negative draws become nearly white; gaussian: as meant"),
    ] = "wrapped"
    noise_sigma: Annotated[float, Field(ge=0, description="sd of the noise in grey levels")] = 25.0
    jpeg_quality: Annotated[int, Field(ge=1, le=100, description="quality of the JPEG compression")] = 70
    blur_before: Annotated[
        int, Field(description="side of the Gaussian kernel at HR size in pixels, odd; 1: no blur")
    ] = 15
    blur_after: Annotated[
        int, Field(description="side of the Gaussian kernel at LR size in pixels, odd; 1: no blur")
    ] = 5
    kernel: OfImage[Kernel] = "opencv_bicubic"

    def __post_init__(self) -> None:
        """Refuse values that the degradation cannot run with LeukoError."""
        require_integer(self.scale, "scale", 2, 16)
        require(self.noise in get_args(Noise), "noise", self.noise, f"one of {', '.join(get_args(Noise))}")
        require_non_negative(self.noise_sigma, "noise_sigma")
        require_integer(self.jpeg_quality, "jpeg_quality", 1, 100)
        for name in ("blur_before", "blur_after"):
            require_integer(getattr(self, name), name, 1, 99)
            require(getattr(self, name) % 2 == 1, name, getattr(self, name), "an odd integer")
        require_kernel(self.kernel)


@dataclass(frozen=True)
class Capstone:
    """Blur, shrink, add noise, compress, blur again, all on 8-bit images."""

    Settings: ClassVar[type[CapstoneSettings]] = CapstoneSettings
    settings: CapstoneSettings

    def __call__(self, hr: Image8, rng: np.random.Generator) -> Image8:
        """Make the LR image of `hr`.

        hr: uint8 RGB, (H, W, 3), already at HR size. Returns uint8 RGB, (H / scale, W / scale, 3), rounded up.
        Raises LeukoError for another dtype or shape.
        """
        s = self.settings
        lr_size = low_resolution_size(hr, s.scale)
        add_noise = add_wrapped_noise if s.noise == "wrapped" else add_signed_noise
        lr = cast(Image8, resize(_blur(hr, s.blur_before), lr_size, s.kernel))
        lr = add_noise(lr, s.noise_sigma, rng)
        lr = jpeg(lr, s.jpeg_quality)
        return _blur(lr, s.blur_after)


def _blur(image: Image8, side: int) -> Image8:
    # Sigma 0 lets OpenCV derive it from the side, as the script did: 2.6 for 15, the binomial kernel for 5.
    return cast(Image8, cv2.GaussianBlur(image, (side, side), 0))
