"""Where images come from and which roles they play."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from leukosr.data.provenance.geometry import Limits
from leukosr.settings import Count, Fraction, PositiveInt, Section, Seed, Side


class PerClass(Section):
    """At most so many images of each class play a role; null takes all."""

    sr_train: PositiveInt | None
    sr_val: PositiveInt
    classifier: Annotated[int, Field(ge=2)] | None
    reference: Count | None


class SourceDisjoint(Section):
    """Fractions of each class's sources that play each role; they sum to 1. `folds` pools the last three.

    sr_train: 0 where the study trains no SR; then SR has no validation part, either.
    Under patient_disjoint `folds` alone counts: of all patients.
    """

    sr_train: Annotated[float, Field(ge=0, lt=1)]
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


class Folders(Section):
    """Where the images are: `root`, in it the folders of parts, if any; classes: those to use, null for all."""

    root: str
    train: str | None
    test: str | None
    reference: str | None
    classes: list[str] | None


class Prepare(Folders):
    """Which images are refused, and how roles are given.

    `source_pattern` finds the source in the name of a file, e.g. a patient: a regular expression with one group.
    `least_size`: (height, width) below which an image cannot be used, e.g. because it is to be cropped to that.
    pool: a study of few images uses so many in all, chosen over all sources (data/splits/pool.py); null takes all.
    """

    bad_images: Literal["stop", "leave_out"]
    max_pixels: PositiveInt
    least_size: tuple[Side, Side] | None = None
    sr_fraction: Fraction
    classifier_train_fraction: Fraction
    source_disjoint: SourceDisjoint
    sources: str
    source_pattern: str | None
    per_class: PerClass
    pool: PositiveInt | None = Field(default=None, exclude_if=lambda pool: pool is None)

    @field_validator("source_pattern")
    @classmethod
    def _one_group(cls, pattern: str | None) -> str | None:
        try:
            if pattern is not None and re.compile(pattern).groups != 1:
                raise ValueError(f"needs one group in parentheses, the source, got '{pattern}'")
        except re.error as error:
            raise ValueError(f"'{pattern}' is not a regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _train_with_test(self) -> Prepare:
        if (self.train is None) != (self.test is None):
            raise ValueError("train and test go together: name both folders or neither")
        return self


class Provenance(Folders, Limits):
    """Which images are searched for common sources, and what counts as one."""

    max_pixels: PositiveInt
    sr_fraction: Fraction
    per_class: PerClass
    seed: Seed
    max_features: Annotated[int, Field(ge=20)]
    neighbours: PositiveInt

    @property
    def limits(self) -> Limits:
        """What a pair of images must reach."""
        return Limits(**self.model_dump(include=set(Limits.model_fields)))
