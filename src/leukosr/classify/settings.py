"""How classifiers train, and on what."""

from __future__ import annotations

import math
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

# most of those that conf/ names: to know them, nobody has to load torchvision, which takes seconds
SHIPPED_BACKBONES = frozenset({"efficientnet_b7", "efficientnet_lite0", "resnet18", "resnet50", "vgg16", "vgg19"})
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
    """Gives the logits: a linear layer, or an MLP with ReLU."""

    hidden: tuple[PositiveInt, ...] = Field(default=(), description="units of the hidden layers; []: a linear head")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="probability of dropout before the last layer")
    pooled: bool = Field(
        default=False, description="whether it sees the global average of the last feature map, also of a VGG"
    )


class Architecture(Section):
    """All that a file of weights must say of its network beside the classes; the defaults are the published ones."""

    backbone: Backbone = Field(description="network by torchvision's name, or timm/NAME by timm's")
    head: Head = Head()
    normalisation: Normalisation = Field(
        default="imagenet",
        description="scale of the pixels; unit: 0 to 1, none: 0 to 255; `…_unscaled`: wrong input, as papers fed it",
    )
    norm_layers: Literal["batch", "frozen_batch", "group", "layer"] = Field(
        default="batch",
        description="what replaces the batch norm of the backbone; frozen_batch: batch norm whose statistics stay "
        "those of `weights`, while its scale and shift train; group: group norm of up to 32 groups; layer: of one; "
        "these two begin near what batch norm computes with the statistics of `weights`",
    )


class Plateau(Section):
    """What lowers the learning rate when training no longer helps."""

    factor: Fraction = Field(description="what the learning rate is multiplied by")
    patience: Count = Field(description="epochs without a better `monitor` before that")
    monitor: Literal["val_loss", "val_accuracy"] = Field(
        default="val_loss", description="validation figure that is watched"
    )
    minimum: NonNegative = Field(default=0.0, description="least learning rate")


class Classifier(Architecture):
    """A recipe."""

    size: InputSize | None = Field(
        description="[height, width] that larger images are shrunk to; null: as the arm makes them"
    )
    weights: BackboneWeights = Field(
        description="what the backbone starts from; none: random weights; imagenet…: downloaded once"
    )
    reads: str = Field(description="internal: file of `weights`, which DVC watches")
    head_start: Literal["backbone", "linear"] = Field(
        default="backbone",
        description="initial weights of the last layer; backbone: as its library draws them (timm's EfficientNets: "
        "±1/√classes, which is wide); linear: uniform in ±1/√inputs",
    )
    frozen: Literal["none", "backbone", "all_but_last_stage"] = Field(
        description="part of the backbone that keeps its weights"
    )
    optimizer: Literal["adam", "adamw", "sgd"] = Field(description="optimiser")
    learning_rate: LearningRate = Field(description="learning rate at the start, or after the warm-up")
    momentum: float = Field(ge=0, lt=1, description="momentum of sgd")
    weight_decay: NonNegative = Field(description="weight decay of adamw and sgd")
    warm_up: float = Field(ge=0, lt=1, description="fraction of all steps in which the learning rate rises from 0")
    schedule: Literal["constant", "cosine", "plateau"] = Field(
        description="course of the learning rate after the warm-up"
    )
    plateau: Plateau
    augmentations: list[Augmentation] = Field(description="random changes to training images, in this order")
    ema: float = Field(
        ge=0, lt=1, description="decay of a moving average of the weights, which is tested and kept; 0: none"
    )
    ensemble: PositiveInt = Field(description="classifiers per run, whose probabilities are averaged")
    epochs: PositiveInt = Field(description="passes over the training images")
    validation: Literal["protocol"] | Fraction | None = Field(
        description="fraction of each class's training images, or the protocol's own part; null: none"
    )
    patience: PositiveInt | None = Field(
        description="stop after so many epochs without a better validation loss; null: never"
    )
    keep: Literal["last", "best"] = Field(
        description="weights that are tested: of the last epoch, or of the least validation loss"
    )
    batch: int = Field(ge=2, description="images per step, over all devices; batch norm cannot train on one")
    precision: Precision = Field(description="auto: bf16 where the hardware computes it natively, else fp32")
    channels_last: bool = Field(
        description="memory layout of the network; changes speed; ignored where group norm trains on a CPU, where it "
        "is slow"
    )

    @property
    def weight_file(self) -> Path | None:
        """The file of the published weights that the backbone starts from; None: random ones, or torchvision's own."""
        return Path(self.reads) if self.weights.startswith("pretrained/") else None

    @property
    def on_features(self) -> bool:
        """Whether one pass through the backbone serves all trainings: published weights, frozen, no augmentations."""
        return self.frozen == "backbone" and self.weights != "none" and not self.augmentations

    def trains_channels_last(self, device: str) -> bool:
        """Whether the network trains in that memory layout on a kind of device, such as cpu.

        As set, but for group norm on a CPU, whose backward pass in bf16 took up to 18 times as long so.
        """
        return self.channels_last and not (device == "cpu" and self.norm_layers in ("group", "layer"))

    def rate_at(self, step: int, steps: int, plateaus: int = 0) -> float:
        """The learning rate at a step, from 0, of all `steps`, after so many `plateaus` of the watched figure."""
        warm_up = round(self.warm_up * steps)
        rate = self.learning_rate
        if step < warm_up:
            return rate * ((step + 1) / warm_up)
        if self.schedule == "plateau":
            return max(rate * self.plateau.factor**plateaus, min(rate, self.plateau.minimum))
        if self.schedule == "cosine":
            return rate * (0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))))
        return rate

    @model_validator(mode="after")
    def _fits(self) -> Classifier:
        if self.optimizer == "adam" and self.weight_decay:
            raise ValueError(f"weight_decay = {self.weight_decay}: adam has none; set optimizer to adamw or sgd")
        if self.norm_layers == "frozen_batch" and self.weights == "none":
            raise ValueError(
                "norm_layers = frozen_batch: random weights have no statistics to keep; set weights to others"
            )
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
    """Which arms a classifier trains on and is tested on."""

    reads: str = Field(description="internal: folder that DVC watches: of the arm, or of all arms")
    train: list[str] = Field(min_length=1, description="arms whose images train, together")
    test: str = Field(description="arm whose images are tested")
    classifier: Classifier
    protocols: Annotated[list[Protocol], Field(min_length=1)] | None = Field(
        description="protocols that it runs under; null: those of the study"
    )
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = Field(
        description="seeds of its classifiers; null: those of the study"
    )
    repeat: PositiveInt = Field(default=1, description="how often an epoch shows each training image")
    limit: dict[str, PositiveInt] = Field(
        default_factory=dict,
        description="arm -> most training images of a class that are taken of it, drawn by the seed; others: all",
    )

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
