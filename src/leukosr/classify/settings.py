"""How classifiers train, and on what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from leukosr.data.augment import Augmentation
from leukosr.settings import (
    Backbone,
    BackboneWeights,
    Count,
    Fraction,
    InputSize,
    LearningRate,
    NonNegative,
    PositiveInt,
    Precision,
    Protocol,
    Section,
    Seed,
)

Normalisation = Literal[
    "imagenet",
    "efficientnet_lite",
    "minus1_1",
    "unit",
    "none",
    "imagenet_unscaled",
    "caffe_unscaled",
    "efficientnet_lite_unscaled",
]


class Head(Section):
    """Gives the logits: a linear layer, or an MLP of ReLU layers `hidden`; dropout before the last layer.

    pooled: it sees the global average of the last feature map, also of a VGG, without that one's own layers behind it.
    """

    hidden: tuple[PositiveInt, ...] = ()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    pooled: bool = False


class Architecture(Section):
    """All that a file of weights must say of its network beside the classes; the defaults are the published ones."""

    backbone: Backbone
    head: Head = Head()
    normalisation: Normalisation = "imagenet"
    norm_layers: Literal["batch", "group", "layer"] = "batch"


class Plateau(Section):
    """The learning rate times `factor` after more than `patience` epochs without a better `monitor`; never below
    `minimum`."""

    factor: Fraction
    patience: Count
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"
    minimum: NonNegative = 0.0


class Classifier(Architecture):
    """A recipe. Images larger than `size` (height, width) are shrunk to it. reads: the file of `weights`, for DVC."""

    size: InputSize | None
    weights: BackboneWeights
    reads: str
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
    def weight_file(self) -> Path | None:
        """The file of the published weights that the backbone starts from; None: random ones, or torchvision's own."""
        return Path(self.reads) if self.weights.startswith("pretrained/") else None

    @property
    def on_features(self) -> bool:
        """Whether one pass through the backbone serves all trainings: published weights, frozen, no augmentations."""
        return self.frozen == "backbone" and self.weights != "none" and not self.augmentations

    @model_validator(mode="after")
    def _fits(self) -> Classifier:
        if self.optimizer == "adam" and self.weight_decay:
            raise ValueError(f"weight_decay = {self.weight_decay}: adam has none; set optimizer to adamw or sgd")
        asked = {
            "schedule: plateau": self.schedule == "plateau",
            "keep: best": self.keep == "best",
            f"patience: {self.patience}": self.patience is not None,
        }
        if self.validation is None and any(asked.values()):
            names = ", ".join(name for name, wanted in asked.items() if wanted)
            raise ValueError(f"validation = null: {names} needs a validation part: a fraction such as 0.2, or protocol")
        return self


class Experiment(Section):
    """Which arms a classifier trains on and is tested on; `reads` is what DVC takes for its input.

    protocols, seeds: null takes those of the study. repeat: how often an epoch shows each training image. limit: the
    most training images of a class that it takes of an arm, drawn by the seed; of arms without one it takes all.
    """

    reads: str
    train: Annotated[list[str], Field(min_length=1)]
    test: str
    classifier: Classifier
    protocols: Annotated[list[Protocol], Field(min_length=1)] | None
    seeds: Annotated[list[Seed], Field(min_length=1)] | None
    repeat: PositiveInt = 1
    limit: dict[str, PositiveInt] = Field(default_factory=dict)

    @property
    def arms(self) -> tuple[str, ...]:
        """All of its arms, those of the training first."""
        return tuple(dict.fromkeys((*self.train, self.test)))

    @model_validator(mode="after")
    def _distinct(self) -> Experiment:
        if len(set(self.train)) != len(self.train):
            raise ValueError(f"train must not repeat an arm, got {self.train}; use repeat")
        if unknown := [arm for arm in self.limit if arm not in self.train]:
            raise ValueError(f"limit: '{unknown[0]}' is none of the arms in train, {', '.join(self.train)}")
        for key, values in (("protocols", self.protocols or []), ("seeds", self.seeds or [])):
            if len(set(values)) != len(values):
                raise ValueError(f"{key} must differ from each other, got {values}")
        return self
