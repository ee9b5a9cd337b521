"""How SR methods train."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from leukosr.config.fields import LearningRate, NonNegative, PositiveInt, Precision, PretrainedWeights, Section

METHODS = ("srgan", "real_esrgan")


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
