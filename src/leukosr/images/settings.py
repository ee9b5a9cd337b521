"""The size of images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from leukosr.settings import Section


class Image(Section):
    """High-resolution size in pixels, scale and the one resampling kernel."""

    height: Annotated[int, Field(ge=8, le=8192)]
    width: Annotated[int, Field(ge=8, le=8192)]
    scale: Literal[2, 4, 8]
    fit: Literal["resize", "center_crop"]
    kernel: Literal["opencv_bicubic", "pillow_bicubic"]

    @model_validator(mode="after")
    def _divisible(self) -> Image:
        for name, side in (("height", self.height), ("width", self.width)):
            if side % self.scale:
                lower = side - side % self.scale
                raise ValueError(
                    f"{name} {side} is not divisible by scale {self.scale}: use {lower} or {lower + self.scale}"
                )
        return self
