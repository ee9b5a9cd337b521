"""How SR methods train, and how arms are made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from leukosr.config.fields import Count, LearningRate, NonNegative, PositiveInt, Precision, PretrainedWeights, Section


class TrainStage(Section):
    """One stretch of SR training with one loss and one optimiser."""

    name: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    loss: Literal["l1", "srgan", "real_esrgan"]
    iterations: PositiveInt
    learning_rate: LearningRate
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    milestones: list[PositiveInt]
    gamma: Annotated[float, Field(gt=0, le=1)]


class LossWeights(Section):
    """Weights of the parts of the generator's loss."""

    image: NonNegative
    adversarial: NonNegative
    perceptual: NonNegative
    total_variation: NonNegative


class TrainSR(Section):
    """How one SR method trains."""

    generator: dict[str, PositiveInt]
    discriminator: dict[str, PositiveInt]
    init: str | None
    patch: Annotated[int, Field(ge=32)]
    batch: PositiveInt
    stages: Annotated[list[TrainStage], Field(min_length=1)]
    losses: LossWeights
    perceptual_weights: PretrainedWeights
    sharpen_target: bool
    ema: Annotated[float, Field(ge=0, lt=1)]
    flips: bool
    validate_every: PositiveInt
    precision: Precision
    channels_last: bool

    @model_validator(mode="after")
    def _distinct_stages(self) -> TrainSR:
        if len({stage.name for stage in self.stages}) != len(self.stages):
            raise ValueError("the names of the stages must differ from each other")
        return self


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
