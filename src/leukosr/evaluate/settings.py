"""How images are compared."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from leukosr.settings import Section

LPIPSNetwork = Literal["alex", "squeeze", "vgg"]
# the shortest side of an image that each network takes: it halves images until a pixel is left of smaller ones
LEAST_SIDE: dict[LPIPSNetwork, int] = {"alex": 31, "squeeze": 17, "vgg": 16}


class Quality(Section):
    """How images are compared with the ground truth."""

    ssim_window: int = Field(
        ge=3,
        description="side of the window of SSIM in pixels, odd; 3 in the script of the case studies, 7 in scikit-image",
    )
    channels: Literal["rgb", "luminance"] = Field(description="what PSNR, SSIM and MSE are computed on")
    perceptual: LPIPSNetwork | None = Field(default=None, description="network of LPIPS; null: not measured")

    @model_validator(mode="after")
    def _odd(self) -> Quality:
        if self.ssim_window % 2 == 0:
            raise ValueError(f"ssim_window must be odd, got {self.ssim_window}")
        return self
