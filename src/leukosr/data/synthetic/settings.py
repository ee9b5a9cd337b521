"""How many synthetic smears are drawn, and of what size."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leukosr.settings import PositiveInt, Section, Seed

SMALLEST_SIDE = 64  # a side, in pixels


class SyntheticSet(Section):
    """One synthetic set: folder, image size in pixels, sources per class in TRAIN and TEST, views per source, seed."""

    folder: str
    height: Annotated[int, Field(ge=SMALLEST_SIDE)]
    width: Annotated[int, Field(ge=SMALLEST_SIDE)]
    train_sources: PositiveInt
    test_sources: PositiveInt
    views: PositiveInt
    seed: Seed
