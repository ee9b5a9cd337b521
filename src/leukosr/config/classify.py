"""How classifiers train, on what, and how often."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from leukosr.config.fields import (
    Backbone,
    BackboneWeights,
    Count,
    Fraction,
    InputSize,
    LearningRate,
    NonNegative,
    PositiveInt,
    Precision,
    Probability,
    Section,
    Seed,
)
from leukosr.config.study import Protocol


class Head(Section):
    """Gives the logits: a linear layer, or an MLP of ReLU layers `hidden`; dropout before the last layer."""

    hidden: tuple[PositiveInt, ...] = ()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Architecture(Section):
    """All that a file of weights must say of its network beside the classes; the defaults are the published ones."""

    backbone: Backbone
    head: Head = Head()
    normalisation: Literal["imagenet", "efficientnet_lite", "minus1_1", "unit", "none"] = "imagenet"
    norm_layers: Literal["batch", "group", "layer"] = "batch"


class Flip(Section):
    """A flip with probability 1/2 along each axis."""

    kind: Literal["flip"]
    axis: Literal["horizontal", "vertical", "both"]


class Warp(Section):
    """A uniform draw within ± amount: degrees of a rotation, parts of the side (shift), slope (shear), factor - 1."""

    kind: Literal["rotation", "shift", "shear", "zoom"]
    amount: NonNegative

    @model_validator(mode="after")
    def _stays_an_image(self) -> Warp:
        largest = 180 if self.kind == "rotation" else 0.9
        if self.amount > largest:
            raise ValueError(f"amount = {self.amount}: a {self.kind} is at most {largest}")
        return self


class Light(Section):
    """A uniform draw within ± amount: of the range (brightness), of the gain around grey (contrast)."""

    kind: Literal["brightness", "contrast"]
    amount: Probability


class FlipsAndLight(Section):
    """Both flips, then contrast and brightness by up to 0.3 times the strength; at 0 nothing."""

    kind: Literal["flips_and_light"]
    strength: Probability


Augmentation = Annotated[Flip | Warp | Light | FlipsAndLight, Field(discriminator="kind")]


class Plateau(Section):
    """The learning rate times `factor` after more than `patience` epochs without a better validation loss."""

    factor: Fraction
    patience: Count


class Classifier(Architecture):
    """A recipe. Images larger than `size` (height, width) are shrunk to it."""

    size: InputSize | None
    weights: BackboneWeights
    frozen: Literal["none", "backbone", "all_but_last_stage"]
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: LearningRate
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: NonNegative
    warm_up: Annotated[float, Field(ge=0, lt=1)]
    schedule: Literal["constant", "cosine", "plateau"]
    plateau: Plateau
    augmentations: list[Augmentation]
    ema: Annotated[float, Field(ge=0, lt=1)]
    ensemble: PositiveInt
    epochs: PositiveInt
    validation: Literal["protocol"] | Fraction | None
    patience: PositiveInt | None
    keep: Literal["last", "best"]
    batch: Annotated[int, Field(ge=2)]  # batch norm cannot train on one image
    precision: Precision
    channels_last: bool

    @property
    def on_features(self) -> bool:
        """Whether one pass through the backbone serves all trainings: published weights, frozen, no augmentations."""
        return self.frozen == "backbone" and self.weights != "none" and not self.augmentations

    @model_validator(mode="after")
    def _fits(self) -> Classifier:
        if self.optimizer == "adam" and self.weight_decay:
            raise ValueError(f"weight_decay = {self.weight_decay}: adam has none; set optimizer to adamw or sgd")
        asked = {"schedule: plateau": self.schedule == "plateau", "keep: best": self.keep == "best",
                 f"patience: {self.patience}": self.patience is not None}  # fmt: skip
        if self.validation is None and any(asked.values()):
            names = ", ".join(name for name, wanted in asked.items() if wanted)
            raise ValueError(f"validation = null: {names} needs a validation part: a fraction such as 0.2, or protocol")
        return self


class Experiment(Section):
    """Which arms a classifier trains on and is tested on; `reads` is what DVC takes for its input.

    protocols, seeds: null takes those of the study.
    """

    reads: str
    train: Annotated[list[str], Field(min_length=1)]
    test: str
    classifier: Classifier
    protocols: Annotated[list[Protocol], Field(min_length=1)] | None
    seeds: Annotated[list[Seed], Field(min_length=1)] | None

    @property
    def arms(self) -> tuple[str, ...]:
        """All of its arms, those of the training first."""
        return tuple(dict.fromkeys((*self.train, self.test)))

    @model_validator(mode="after")
    def _distinct(self) -> Experiment:
        if len(set(self.train)) != len(self.train):
            raise ValueError(f"train must not repeat an arm, got {self.train}")
        for key, values in (("protocols", self.protocols or []), ("seeds", self.seeds or [])):
            if len(set(values)) != len(values):
                raise ValueError(f"{key} must differ from each other, got {values}")
        return self


SweptStream = Literal["split", "sr_init", "init", "order", "augment"]
STREAMS_OF: dict[str, tuple[SweptStream, ...]] = {
    "classify": ("split", "init", "order", "augment"),
    "train_sr": ("sr_init", "order", "augment"),
}
METRICS_OF = {"classify": ("accuracy", "macro_f1"), "train_sr": ("psnr", "ssim")}
RateRange = tuple[LearningRate, LearningRate]


class SearchSpace(Section):
    """What a search draws from; a range from 0 to 0 leaves a setting as it is."""

    learning_rate: RateRange
    weight_decay: tuple[NonNegative, NonNegative]
    augmentation: Probability

    @model_validator(mode="after")
    def _rising(self) -> SearchSpace:
        for name, (low, high) in (("learning_rate", self.learning_rate), ("weight_decay", self.weight_decay)):
            if low > high or (low == 0 < high):
                raise ValueError(f"{name} {[low, high]} must be two numbers above 0, the lower one first")
        return self


class Sweep(Section):
    """Many trainings of one thing, to see how much chance moves it, or to tune it."""

    target: Literal["classify", "train_sr"]
    arm: str | None
    protocol: Protocol | None
    design: Literal["factorial", "runs", "streams", "search"]
    metric: Literal["accuracy", "macro_f1", "psnr", "ssim"] | None
    learning_rates: Annotated[list[LearningRate], Field(min_length=1)]
    runs: PositiveInt
    repeats: Count
    streams: Annotated[list[SweptStream], Field(min_length=1)] | None
    trials: PositiveInt
    space: SearchSpace
    epochs: PositiveInt

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
