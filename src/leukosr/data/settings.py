"""Where images come from and which roles they play."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from leukosr.data.provenance.geometry import Limits
from leukosr.settings import Count, Fraction, PositiveInt, Section, Seed, Side


class PerClass(Section):
    """At most so many images of each class play a role."""

    sr_train: PositiveInt | None = Field(description="most images that SR trains on; null: all")
    sr_val: PositiveInt = Field(description="most images that SR validates on")
    classifier: Annotated[int, Field(ge=2)] | None = Field(
        description="most images that classifiers train on and are tested on, together; null: all"
    )
    reference: Count | None = Field(description="most images of the reference folder; null: all")


class SourceDisjoint(Section):
    """How the sources of each class are shared out; the four fractions sum to 1."""

    sr_train: float = Field(
        ge=0, lt=1, description="fraction of the sources that SR trains on; 0 in a study that trains none"
    )
    classifier_train: Fraction = Field(description="fraction of the sources that classifiers train on")
    classifier_val: Fraction = Field(description="fraction of the sources that classifiers validate on")
    classifier_test: Fraction = Field(description="fraction of the sources that classifiers are tested on")
    folds: Annotated[int, Field(ge=2, le=20)] | None = Field(
        description="folds of the classifiers' sources, each tested once (patient_disjoint: all patients); null: none"
    )

    @model_validator(mode="after")
    def _whole(self) -> SourceDisjoint:
        total = self.sr_train + self.classifier_train + self.classifier_val + self.classifier_test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the four fractions must sum to 1, they sum to {total:g}")
        return self


class Folders(Section):
    """Where the images are."""

    root: str = Field(description="folder of the set")
    train: str | None = Field(
        description="folder of class folders in `root` that SR trains on; null: the class folders are split"
    )
    test: str | None = Field(description="folder of class folders in `root` that classifiers see")
    reference: str | None = Field(description="folder in `root` that is listed but never trained on")
    classes: list[str] | None = Field(
        min_length=1, description="classes to use, in upper or lower case; null: every class folder"
    )

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: list[str] | None) -> list[str] | None:
        if classes and len({name.casefold() for name in classes}) < len(classes):
            raise ValueError("each class may stand in it once, in upper or lower case")
        return classes


class Prepare(Folders):
    """Which images are refused, and how roles are given."""

    bad_images: Literal["stop", "leave_out"] = Field(
        description="at an image that cannot be used: stop, or leave it out and list it in rejected.csv"
    )
    max_pixels: PositiveInt = Field(description="images of more pixels are refused as decompression bombs")
    least_size: tuple[Side, Side] | None = Field(
        default=None, description="[height, width]; a smaller image cannot be used; null: any"
    )
    sr_fraction: Fraction = Field(
        description="fraction of each class that SR trains on, in a set without `train` and `test`"
    )
    classifier_train_fraction: Fraction = Field(
        description="fraction of each class of the classifiers that they train on, under the protocol paper"
    )
    source_disjoint: SourceDisjoint
    sources: str = Field(description="internal: folder of sources.csv, where the set has none of its own")
    source_pattern: str | None = Field(
        description="finds the source, e.g. a patient, in a file name: a regular expression with one group; null: none"
    )
    per_class: PerClass
    pool: PositiveInt | None = Field(
        default=None,
        exclude_if=lambda pool: pool is None,
        description="images that the study uses in all, chosen over all sources; null: all",
    )

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

    max_pixels: PositiveInt = Field(description="as `prepare.max_pixels`")
    least_size: tuple[Side, Side] | None = Field(
        default=None, exclude_if=lambda size: size is None, description="as `prepare.least_size`"
    )
    sr_fraction: Fraction = Field(description="as `prepare.sr_fraction`")
    per_class: PerClass
    seed: Seed = Field(description="seed of the search")
    max_features: int = Field(ge=20, description="local features (SIFT) per image")
    neighbours: PositiveInt = Field(description="images that each image is compared with, per round")

    @property
    def limits(self) -> Limits:
        """What a pair of images must reach."""
        return Limits(**self.model_dump(include=set(Limits.model_fields)))
