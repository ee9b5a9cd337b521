"""What a sweep trains, and how often."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from leukosr.settings import Count, LearningRate, NonNegative, PositiveInt, Probability, Protocol, Section

SweptStream = Literal["split", "sr_init", "init", "order", "augment"]
STREAMS_OF: dict[str, tuple[SweptStream, ...]] = {
    "classify": ("split", "init", "order", "augment"),
    "train_sr": ("sr_init", "order", "augment"),
}
METRICS_OF = {"classify": ("accuracy", "macro_f1"), "train_sr": ("psnr", "ssim")}
RateRange = tuple[LearningRate, LearningRate]


class SearchSpace(Section):
    """What a search draws from; a weight decay of [0, 0] and an augmentation of 0 leave these as they are."""

    learning_rate: RateRange = Field(description="range of the learning rate, drawn on a logarithmic scale")
    weight_decay: tuple[NonNegative, NonNegative] = Field(
        description="range of the weight decay, drawn on a logarithmic scale"
    )
    augmentation: Probability = Field(description="strongest flips_and_light, drawn evenly from 0")

    @model_validator(mode="after")
    def _rising(self) -> SearchSpace:
        for name, (low, high) in (("learning_rate", self.learning_rate), ("weight_decay", self.weight_decay)):
            if low > high or (low == 0 < high):
                raise ValueError(f"{name} {[low, high]} must be two numbers above 0, the lower one first")
        return self


class Sweep(Section):
    """Many trainings of one thing, to see how far chance moves it, or to tune it."""

    target: Literal["classify", "train_sr"] = Field(
        description="what is trained many times: classifiers, or an SR method"
    )
    arm: str | None = Field(description="experiment or training that is repeated; null: the first of the study")
    reads: str = Field(description="internal: file of the weights that it starts from, which DVC watches")
    protocol: Protocol | None = Field(description="protocol that classifiers train under; null: the first of the study")
    design: Literal["factorial", "runs", "streams", "search"] = Field(
        description="how runs are chosen (docs/design.md#sweeps)"
    )
    metric: Literal["accuracy", "macro_f1", "psnr", "ssim"] | None = Field(
        description="metric whose variance is measured, or that a search raises; null: accuracy, or psnr"
    )
    learning_rates: list[LearningRate] = Field(
        min_length=1, description="learning rates that are compared; streams takes one"
    )
    runs: PositiveInt = Field(
        description="runs of a learning rate (factorial, runs), a stream (streams), or a drawn configuration (search)"
    )
    repeats: Count = Field(description="exact repeats of one run, which show what the hardware does (streams)")
    streams: Annotated[list[SweptStream], Field(min_length=1)] | None = Field(
        description="streams of randomness that vary; null: all of the target"
    )
    trials: PositiveInt = Field(description="configurations of a search")
    space: SearchSpace
    epochs: PositiveInt | None = Field(description="epochs of a classifier; null: those of its recipe")

    @property
    def objective(self) -> str:
        """The metric whose variance is taken apart, or that a search raises."""
        return self.metric or METRICS_OF[self.target][0]

    @model_validator(mode="after")
    def _fits(self) -> Sweep:
        for key, chosen, allowed in (
            ("streams", self.streams or (), STREAMS_OF[self.target]),
            ("metric", (self.objective,), METRICS_OF[self.target]),
        ):
            for each in chosen:
                if each not in allowed:
                    raise ValueError(f"{key}: '{each}' is none of {', '.join(allowed)}, those of {self.target}")
        for key, values in (("streams", self.streams or []), ("learning_rates", self.learning_rates)):
            if len(set(values)) != len(values):
                raise ValueError(f"{key} must differ from each other, got {list(values)}")
        if self.design in ("factorial", "runs") and self.runs * len(self.learning_rates) < 2:
            raise ValueError("runs: one trial has no variance: ask for 2 runs or more, or for several learning_rates")
        if self.design == "streams" and len(self.learning_rates) != 1:
            raise ValueError(f"the design 'streams' takes one of learning_rates, got {self.learning_rates}")
        return self
