"""What is asked and what it may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

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

if TYPE_CHECKING:
    from leukosr.data.splits import Split

Protocol = str  # a key of leukosr.data.splits.SPLITS
Measure = Literal["image_quality", "classification"]


class Study(Section):
    """What is asked: which set, what is measured, how many runs, which protocol."""

    name: Name
    title: str
    seed: Seed
    seeds: Annotated[list[Seed], Field(min_length=1)]
    measures: Annotated[list[Measure], Field(min_length=1)]
    protocol: Protocol | list[Protocol]
    primary: Literal["macro_f1", "accuracy"]
    margin: Annotated[float, Field(gt=0, lt=1)]
    comparisons: Annotated[list[tuple[str, str]], Field(min_length=1)] | None
    published: Literal["case1", "case2"] | None
    caveat: str | None

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """The protocols that the classifiers run under."""
        return _named(self.protocol)

    @property
    def protocol_name(self) -> str:
        """What `protocol` is called in records."""
        return self.protocol if isinstance(self.protocol, str) else ", ".join(self.protocol)

    @property
    def classifies(self) -> bool:
        """Whether classifiers are trained; if not, images need no class."""
        return "classification" in self.measures

    @property
    def sr_protocol(self) -> Protocol:
        """The protocol whose SR part trains the SR methods: the strictest one of those that run."""
        from leukosr.data.splits import strictest  # here, as splits read the settings of this package

        return strictest(self.protocols)

    def split(self, protocol: Protocol) -> Split:
        """How a protocol gives roles, and what it claims."""
        from leukosr.data.splits import SPLITS  # here, as splits read the settings of this package

        return SPLITS[protocol]

    @field_validator("protocol")
    @classmethod
    def _known(cls, protocol: Protocol | list[Protocol]) -> Protocol | list[Protocol]:
        _named(protocol)
        return protocol

    @model_validator(mode="after")
    def _distinct_seeds(self) -> Study:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ from each other, got {self.seeds}")
        return self

    @model_validator(mode="after")
    def _measurable(self) -> Study:
        if len(set(self.measures)) != len(self.measures):
            raise ValueError(f"measures must differ from each other, got {self.measures}")
        if not self.classifies and len(self.protocols) > 1:
            raise ValueError(
                f"protocol: a study without classification runs under one protocol, got {', '.join(self.protocols)}"
            )
        return self


def _named(protocol: Protocol | list[Protocol]) -> tuple[Protocol, ...]:
    from leukosr.data.splits import named_protocols  # here, as splits read the settings of this package

    return named_protocols(protocol)


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


# what a reporting sheet asks and no file of a study can know
Statement = Literal[
    "population", "motivation", "registration", "data_origin", "annotation", "agreement", "sampling", "usefulness",
    "sample_size", "representativeness", "demographics", "deidentification", "model_choice", "explainability", "limits",
    "external_validity", "implications", "funding",
]  # fmt: skip


class Report(Section):
    """What the report page shows, and what people say on its reporting sheet."""

    grid_cells: PositiveInt
    crop: Fraction
    reliability_bins: PositiveInt
    statements: dict[Statement, str]


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
