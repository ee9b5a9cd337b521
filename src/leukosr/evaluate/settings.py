"""How images are compared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from leukosr.settings import Section

LPIPSNetwork = Literal["alex", "squeeze", "vgg"]


class Quality(Section):
    """How images are compared with the ground truth.

    perceptual: the network of LPIPS; null, which studies need not name, measures none.
    """

    ssim_window: Annotated[int, Field(ge=3)]
    channels: Literal["rgb", "luminance"]
    perceptual: LPIPSNetwork | None = None

    @model_validator(mode="after")
    def _odd(self) -> Quality:
        if self.ssim_window % 2 == 0:
            raise ValueError(f"ssim_window must be odd, got {self.ssim_window}")
        return self
