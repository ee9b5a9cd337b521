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

    backbone: Backbone = Field(description="as `classifier.backbone`")
    size: InputSize | None = Field(description="as `classifier.size`")
    epochs: PositiveInt = Field(description="as `classifier.epochs`")
    batch: PositiveInt = Field(description="as `classifier.batch`")


class BudgetSweep(Section):
    """How many trainings a sweep may take."""

    learning_rates: list[LearningRate] = Field(min_length=1, description="as `sweep.learning_rates`")
    runs: PositiveInt = Field(description="as `sweep.runs`")


class Budget(Section):
    """What a study may cost; other sections take their values from here."""

    name: str = Field(description="name of the budget")
    column: str = Field(description="internal: column of the sizes in conf/method that SR methods take")
    note: str = Field(description="sentence that every report carries")
    precision: Precision = Field(description="as `classifier.precision`, of every network")
    pretrained: PretrainedWeights = Field(
        description="weights that classifiers and perceptual losses start from, where they name none"
    )
    pretrained_v1: Literal["none", "imagenet_v1"] = Field(
        description="the same of torchvision's first version, which the case studies used"
    )
    per_class: PerClass
    seeds: list[Seed] = Field(description="as `study.seeds`")
    classify: BudgetClassify
    sweep: BudgetSweep


class FindSources(Section):
    """What a protocol needs to know the sources."""

    stage: dict[str, Provenance]
    table: str = Field(description="internal: folder of sources.csv that `prepare` reads")


class ArmLook(Section):
    """How reports show an arm, or an experiment that has no arm of its name."""

    title: str | None = Field(default=None, description="title in tables and figures; null: its name")
    colour: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")] | None = Field(
        default=None, description="colour in figures, e.g. #56B4E9; null: the next free one"
    )


# what a reporting sheet asks and no file of a study can know
Statement = Literal[
    "population", "motivation", "registration", "data_origin", "annotation", "agreement", "sampling", "usefulness",
    "sample_size", "representativeness", "demographics", "deidentification", "model_choice", "explainability", "limits",
    "external_validity", "implications", "funding",
]  # fmt: skip


class Report(Section):
    """What the report page shows, how it shows each arm, and what people say on its reporting sheet."""

    grid_cells: PositiveInt = Field(description="cells in the grid of images")
    crop: Fraction = Field(description="side of the enlarged crop, as a fraction of the image")
    reliability_bins: PositiveInt = Field(description="bins of confidence for calibration")
    statements: dict[Statement, str] = Field(
        description="answers to the reporting sheet that no file knows: population, funding, …"
    )
    looks: dict[str, ArmLook]
