"""What is asked of a set of images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from leukosr.data.splits import SPLITS, Split, named_protocols, strictest
from leukosr.settings import Name, Protocol, Section, Seed

Measure = Literal["image_quality", "classification"]


class Study(Section):
    """What is asked: which set, what is measured, how many runs, which protocol."""

    name: Name = Field(description="name of the study, and of its folders in outputs/ and reports/")
    title: str = Field(description="title of the report")
    seed: Seed = Field(description="root seed that split, degradation and SR training derive from")
    seeds: list[Seed] = Field(
        min_length=1, description="one run of every classifier per seed, the same in every experiment"
    )
    sr_seeds: Annotated[list[Seed], Field(min_length=1)] | None = Field(
        description="one SR network per method and seed, all `seeds` within each; null: one network per method"
    )
    measures: list[Measure] = Field(
        min_length=1, description="what is measured; without classification images need no class"
    )
    protocol: Protocol | list[Protocol] = Field(
        description="how roles are given (docs/design.md#protocols); a list, or both: paper and source_disjoint"
    )
    primary: Literal["macro_f1", "accuracy"] = Field(description="metric that verdicts are about")
    margin: float = Field(gt=0, lt=1, description="smallest difference that matters, as a fraction of the metric")
    comparisons: Annotated[list[tuple[str, str]], Field(min_length=1)] | None = Field(
        description="pairs of experiments that are compared; null: those by a network with those of other LR images"
    )
    published: (
        Literal[
            "case1", "case2", "geometry_prior_x4", "geometry_prior_x8", "histopathology", "enhancement", "srgan_vgg19"
        ]
        | None
    ) = Field(description="paper whose printed figures the report sets beside its own; null: none")
    caveat: str | None = Field(
        description="sentence under the results, but for protocols that alone keep sources apart; null: none"
    )

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """The protocols that the classifiers run under."""
        return named_protocols(self.protocol)

    @property
    def protocol_name(self) -> str:
        """What `protocol` is called in records."""
        return self.protocol if isinstance(self.protocol, str) else ", ".join(self.protocol)

    @property
    def networks(self) -> tuple[int | None, ...]:
        """The SR seeds that every SR method is trained with; None alone where it is trained once."""
        return tuple(self.sr_seeds or [None])

    @property
    def classifies(self) -> bool:
        """Whether classifiers are trained; if not, images need no class."""
        return "classification" in self.measures

    @property
    def sr_protocol(self) -> Protocol:
        """The protocol whose SR part trains the SR methods: the strictest one of those that run."""
        return strictest(self.protocols)

    def split(self, protocol: Protocol) -> Split:
        """How a protocol gives roles, and what it claims."""
        return SPLITS[protocol]

    @field_validator("protocol")
    @classmethod
    def _known(cls, protocol: Protocol | list[Protocol]) -> Protocol | list[Protocol]:
        named_protocols(protocol)
        return protocol

    @model_validator(mode="after")
    def _distinct_seeds(self) -> Study:
        for key, seeds in (("seeds", self.seeds), ("sr_seeds", self.sr_seeds or [])):
            if len(set(seeds)) != len(seeds):
                raise ValueError(f"{key} must differ from each other, got {seeds}")
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
