"""What the sections of params.yaml are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**53)]  # what JSON, MLflow and every table keep exactly
Side = Annotated[int, Field(ge=8, le=8192)]  # of images of a study, in pixels
Fraction = Annotated[float, Field(gt=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]  # of a study, an arm, a training: part of paths
Precision = Literal["auto", "fp32", "bf16"]
PretrainedWeights = Literal["none", "imagenet"]
Backbone = Annotated[str, Field(pattern=r"^(timm/)?[a-z0-9_.]+$")]  # as torchvision or timm calls it
# imagenet: the newest that torchvision or timm has; pretrained/NAME: a file that `leukosr weights fetch NAME` made
BackboneWeights = Annotated[str, Field(pattern=r"^(none|imagenet(_v[12])?|pretrained/[A-Za-z0-9_-]+)$")]
InputSize = tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]
Probability = Annotated[float, Field(ge=0, le=1)]
Protocol = str  # a key of leukosr.data.splits.SPLITS


class Section(BaseModel):
    """A part of params.yaml: immutable, and an unknown key, NaN or infinity is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
