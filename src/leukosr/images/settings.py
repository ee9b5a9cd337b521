"""The size of images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from leukosr.images.file_format import ArmFormat
from leukosr.settings import Section, Side

BicubicKernel = Literal["opencv_bicubic", "pillow_bicubic"]
FittingKernel = Literal["opencv_bicubic", "pillow_bicubic", "bilinear"]


class Image(Section):
    """The size of images, and how files are brought to it."""

    height: Side = Field(description="height of HR images in pixels; a multiple of `scale`")
    width: Side = Field(description="width of HR images in pixels; a multiple of `scale`")
    scale: Literal[2, 4, 8] = Field(description="how many times shorter the sides of LR images are")
    fit: Literal["resize", "center_crop"] = Field(
        description="what happens to files of another size: resampled, or cut out of the middle"
    )
    kernel: FittingKernel = Field(description="resampling kernel of `fit`, and of the degradation capstone")
    enlarging: BicubicKernel = Field(
        description="kernel of the bicubic arm, and of HR images where `degraded_at` differs from their size"
    )
    degraded_at: tuple[Side, Side] | None = Field(
        description="[height, width] that LR images are made at, and HR images from; null: the HR size"
    )
    arm_file: ArmFormat = Field(
        description="format of bicubic images and of those by networks; npy also keeps the unrounded values"
    )
    crop: tuple[Side, Side] | None = Field(
        default=None,
        exclude_if=lambda crop: crop is None,
        description="[height, width] cut out of the middle of every file first, then shrunk; null: the whole file",
    )

    @property
    def lr_size(self) -> tuple[int, int]:
        """Height and width of the low-resolution images."""
        return self.height // self.scale, self.width // self.scale

    def enlarges(self, height: int, width: int) -> bool:
        """Whether a file of that size has a side that is shorter than what its HR image is made at."""
        sides = self.crop or (height, width)
        return any(
            side < wanted for side, wanted in zip(sides, self.degraded_at or (self.height, self.width), strict=True)
        )

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
