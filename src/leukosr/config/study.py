"""What is asked and what it may cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from leukosr.config.fields import (
    Backbone,
    Count,
    Fraction,
    InputSize,
    LearningRate,
    Name,
    NonNegative,
    PositiveInt,
    Precision,
    PretrainedWeights,
    Section,
    Seed,
)

Protocol = Literal["paper", "source_disjoint"]
PROTOCOLS: tuple[Protocol, ...] = ("paper", "source_disjoint")


class Study(Section):
    """What is asked: which set, how many runs, which protocol."""

    name: Name
    title: str
    seed: Seed
    seeds: Annotated[list[Seed], Field(min_length=1)]
    protocol: Literal["paper", "source_disjoint", "both"]
    primary: Literal["macro_f1", "accuracy"]
    comparisons: Annotated[list[tuple[str, str]], Field(min_length=1)] | None
    published: Literal["case1", "case2"] | None
    caveat: str | None

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """The protocols that the classifiers run under."""
        return PROTOCOLS if self.protocol == "both" else (self.protocol,)

    @property
    def sr_protocol(self) -> Protocol:
        """The protocol whose SR part trains the SR methods: the stricter one of those that run."""
        return self.protocols[-1]

    @model_validator(mode="after")
    def _distinct_seeds(self) -> Study:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ from each other, got {self.seeds}")
        return self


class PerClass(Section):
    """At most so many images of each class play a role; null takes all."""

    sr_train: PositiveInt | None
    sr_val: PositiveInt
    classifier: Annotated[int, Field(ge=2)] | None
    reference: Count | None


class BudgetClassify(Section):
    """Cost of classifier training."""

    backbone: Backbone
    size: InputSize | None
    epochs: PositiveInt
    batch: PositiveInt


class BudgetSweep(Section):
    """How many trainings a sweep may take, and how long each."""

    learning_rates: Annotated[list[LearningRate], Field(min_length=1)]
    runs: PositiveInt
    epochs: PositiveInt


class Budget(Section):
    """What a study may cost. The stage sections take their values from here; `column` of the sizes of a method."""

    name: str
    column: str
    note: str
    precision: Precision
    pretrained: PretrainedWeights
    per_class: PerClass
    seeds: list[Seed]
    classify: BudgetClassify
    sweep: BudgetSweep


class Report(Section):
    """What the report page shows."""

    grid_cells: PositiveInt
    crop: Fraction


class Runtime(Section):
    """What changes speed, and numbers by no more than rounding."""

    device: Literal["auto", "cpu", "cuda"]
    workers: Literal["auto"] | PositiveInt
    devices: PositiveInt
    nodes: PositiveInt
    optuna_storage: str
    sweep_workers: PositiveInt
    heartbeat_seconds: PositiveInt
    compile: Literal["auto", "always", "never"]
    checkpoint_seconds: NonNegative
    log_models: bool
