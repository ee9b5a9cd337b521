"""What a study may cost, what its protocols need, and what its report shows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from leukosr.data.settings import PerClass, Provenance
from leukosr.settings import (
    Backbone,
    Fraction,
    InputSize,
    LearningRate,
    PositiveInt,
    Precision,
    PretrainedWeights,
    Section,
    Seed,
)


class BudgetClassify(Section):
    """Cost of classifier training."""

    backbone: Backbone
    size: InputSize | None
    epochs: PositiveInt
    batch: PositiveInt


class BudgetSweep(Section):
    """How many trainings a sweep may take."""

    learning_rates: Annotated[list[LearningRate], Field(min_length=1)]
    runs: PositiveInt


class Budget(Section):
    """What a study may cost. The stage sections take their values from here; `column` of the sizes of a method."""

    name: str
    column: str
    note: str
    precision: Precision
    pretrained: PretrainedWeights
    pretrained_v1: Literal["none", "imagenet_v1"]
    per_class: PerClass
    seeds: list[Seed]
    classify: BudgetClassify
    sweep: BudgetSweep


class FindSources(Section):
    """What a protocol needs: the entries of the stage `provenance`, and the folder or root that `prepare` reads."""

    stage: dict[str, Provenance]
    table: str


class ArmLook(Section):
    """How reports show an arm; null: by its name, in the next free colour."""

    title: str | None = None
    colour: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")] | None = None


# what a reporting sheet asks and no file of a study can know
Statement = Literal[
    "population", "motivation", "registration", "data_origin", "annotation", "agreement", "sampling", "usefulness",
    "sample_size", "representativeness", "demographics", "deidentification", "model_choice", "explainability", "limits",
    "external_validity", "implications", "funding",
]  # fmt: skip


class Report(Section):
    """What the report page shows, how it shows each arm, and what people say on its reporting sheet."""

    grid_cells: PositiveInt
    crop: Fraction
    reliability_bins: PositiveInt
    statements: dict[Statement, str]
    looks: dict[str, ArmLook]
