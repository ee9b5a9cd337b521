"""The size of images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from leukosr.images.file_format import ArmFormat
from leukosr.settings import Section, Side

BicubicKernel = Literal["opencv_bicubic", "pillow_bicubic"]
FittingKernel = Literal["opencv_bicubic", "pillow_bicubic", "bilinear"]


class Image(Section):
    """High-resolution size in pixels, scale, kernels, and the file format of enlarged images.

    degraded_at: (height, width) that originals are brought to with `kernel` and degraded at; high-resolution images are
    then made from these with `enlarging`. null: the high-resolution size.
    crop: (height, width) cut out of the middle of every file first, then shrunk by area means; null: the whole file.
    """

    height: Side
    width: Side
    scale: Literal[2, 4, 8]
    fit: Literal["resize", "center_crop"]
    kernel: FittingKernel
    enlarging: BicubicKernel
    degraded_at: tuple[Side, Side] | None
    arm_file: ArmFormat
    crop: tuple[Side, Side] | None = Field(default=None, exclude_if=lambda crop: crop is None)

    @property
    def lr_size(self) -> tuple[int, int]:
        """Height and width of the low-resolution images."""
        return self.height // self.scale, self.width // self.scale

    @model_validator(mode="after")
    def _divisible(self) -> Image:
        for name, side in (("height", self.height), ("width", self.width)):
            if side % self.scale:
                lower = side - side % self.scale
                raise ValueError(
                    f"{name} {side} is not divisible by scale {self.scale}: use {lower} or {lower + self.scale}"
                )
        return self

    @model_validator(mode="after")
    def _degraded_to_the_same_size(self) -> Image:
        if self.degraded_at is None:
            return self
        for side, at in zip((self.height, self.width), self.degraded_at, strict=True):
            if -(-at // self.scale) * self.scale != side:
                raise ValueError(
                    f"degraded_at = {list(self.degraded_at)}: {at} pixels give LR of {-(-at // self.scale)}, as an HR "
                    f"side of {side} does from {side - self.scale + 1} to {side} only"
                )
        return self
