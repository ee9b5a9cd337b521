"""How many synthetic smears are drawn, and of what size."""

from __future__ import annotations

from pydantic import Field

from leukosr.settings import PositiveInt, Section, Seed

SMALLEST_SIDE = 64  # a side, in pixels


class SyntheticSet(Section):
    """One set of synthetic smears."""

    folder: str = Field(description="folder that the images are written to")
    height: int = Field(ge=SMALLEST_SIDE, description="height of the images in pixels")
    width: int = Field(ge=SMALLEST_SIDE, description="width of the images in pixels")
    train_sources: PositiveInt = Field(description="cells that are drawn for TRAIN, per class")
    test_sources: PositiveInt = Field(description="cells that are drawn for TEST, per class")
    views: PositiveInt = Field(description="augmented images of each cell")
    seed: Seed = Field(description="seed of the drawing")
