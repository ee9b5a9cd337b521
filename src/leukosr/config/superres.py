"""How arms are made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from leukosr.config.fields import Count, PositiveInt, Precision, Section


class UpscalePlain(Section):
    """An arm that needs no training; `reads` is the input it depends on."""

    reads: str


class UpscaleLearned(Section):
    """An arm made by a trained generator; `reads` is the folder of its weights."""

    reads: str
    weights: Literal["last", "best"]
    tile: Count
    overlap: Count
    batch: PositiveInt
    precision: Precision
    channels_last: bool


def _kind_of_arm(settings: Any) -> str:
    """Which kind of arm the keys speak of, so that an error is told of that kind alone."""
    keys = settings if isinstance(settings, dict) else getattr(type(settings), "model_fields", ())
    return "learned" if (UpscaleLearned.model_fields.keys() - UpscalePlain.model_fields.keys()) & set(keys) else "plain"


Upscale = Annotated[
    Annotated[UpscalePlain, Tag("plain")] | Annotated[UpscaleLearned, Tag("learned")], Discriminator(_kind_of_arm)
]
