"""Where images come from, which roles they play, and how arms are compared with the originals."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from leukosr.config.fields import Fraction, PositiveInt, Section, Seed, Side
from leukosr.config.file_format import FileFormat
from leukosr.config.study import PerClass


class SyntheticSet(Section):
    """One synthetic set of smears to draw."""

    folder: str
    height: Annotated[int, Field(ge=64)]
    width: Annotated[int, Field(ge=64)]
    train_sources: PositiveInt
    test_sources: PositiveInt
    views: PositiveInt
    seed: Seed


class SourceDisjoint(Section):
    """Fractions of each class's sources that play each role; they sum to 1. `folds` pools the last three."""

    sr_train: Fraction
    classifier_train: Fraction
    classifier_val: Fraction
    classifier_test: Fraction
    folds: Annotated[int, Field(ge=2, le=20)] | None

    @model_validator(mode="after")
    def _whole(self) -> SourceDisjoint:
        total = self.sr_train + self.classifier_train + self.classifier_val + self.classifier_test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the four fractions must sum to 1, they sum to {total:g}")
        return self


class Prepare(Section):
    """Where the images are, which are refused, and how roles are given.

    `source_pattern` finds the source in the name of a file, e.g. a patient: a regular expression with one group.
    """

    root: str
    train: str | None
    test: str | None
    reference: str | None
    classes: list[str] | None
    bad_images: Literal["stop", "leave_out"]
    max_pixels: PositiveInt
    sr_fraction: Fraction
    classifier_train_fraction: Fraction
    source_disjoint: SourceDisjoint
    sources: str
    source_pattern: str | None
    per_class: PerClass

    @field_validator("source_pattern")
    @classmethod
    def _one_group(cls, pattern: str | None) -> str | None:
        try:
            if pattern is not None and re.compile(pattern).groups != 1:
                raise ValueError(f"needs one group in parentheses, the source, got '{pattern}'")
        except re.error as error:
            raise ValueError(f"'{pattern}' is no regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _train_with_test(self) -> Prepare:
        if (self.train is None) != (self.test is None):
            raise ValueError("train and test go together: name both folders or neither")
        return self


class Provenance(Section):
    """Which images are searched for common sources, and what counts as one.

    The limits of `views` are those of `leukosr.data.provenance.geometry.Limits`.
    """

    root: str
    train: str | None
    test: str | None
    reference: str | None
    classes: list[str] | None
    max_pixels: PositiveInt
    sr_fraction: Fraction
    per_class: PerClass
    seed: Seed
    max_features: Annotated[int, Field(ge=20)]
    neighbours: PositiveInt
    inliers: Annotated[int, Field(ge=4)]
    tolerance: Annotated[float, Field(gt=0)]
    similarity: Fraction
    overlap: Fraction
    zoom: Annotated[float, Field(gt=1)]
    stretch: Annotated[float, Field(gt=1)]


class FindSources(Section):
    """What a protocol needs: the entries of the stage `provenance`, and the folder or root that `prepare` reads."""

    stage: dict[str, Provenance]
    table: str


BicubicKernel = Literal["opencv_bicubic", "pillow_bicubic"]


class Image(Section):
    """High-resolution size in pixels, scale, kernels, and the file format of enlarged images.

    degraded_at: (height, width) that originals are brought to with `kernel` and degraded at; high-resolution images are
    then made from these with `enlarging`. null: the high-resolution size.
    """

    height: Side
    width: Side
    scale: Literal[2, 4, 8]
    fit: Literal["resize", "center_crop"]
    kernel: BicubicKernel
    enlarging: BicubicKernel
    degraded_at: tuple[Side, Side] | None
    arm_file: FileFormat

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


class Quality(Section):
    """How images are compared with the ground truth."""

    ssim_window: Annotated[int, Field(ge=3)]
    channels: Literal["rgb", "luminance"]

    @model_validator(mode="after")
    def _odd(self) -> Quality:
        if self.ssim_window % 2 == 0:
            raise ValueError(f"ssim_window must be odd, got {self.ssim_window}")
        return self
