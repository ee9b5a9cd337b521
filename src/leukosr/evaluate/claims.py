"""Claims that a study declares before its first run."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from leukosr.data.splits import named_protocols
from leukosr.settings import Fraction, Name, Protocol, Section, Seed


class Claim(Section):
    """The first experiment is compared with the second under a protocol (in files: or under each of several)."""

    first: Name = Field(description="experiment that is compared")
    second: Name = Field(description="experiment that it is compared with")
    protocol: Protocol = Field(description="protocol; what `study.protocol` may be stands for a claim under each")


class Claims(Section):
    """What will be compared: one family for Holm's correction."""

    metric: Literal["macro_f1", "accuracy"] = Field(description="as `study.primary`")
    margin: Fraction = Field(description="as `study.margin`")
    seeds: list[Seed] = Field(min_length=1, description="as `study.seeds`")
    sr_seeds: Annotated[list[Seed], Field(min_length=1)] | None = Field(
        default=None, description="as `study.sr_seeds`; null: each method is trained once"
    )
    family: Annotated[list[Claim], Field(min_length=1)]

    @property
    def digest(self) -> str:
        """SHA-256 of the claims, which tells later changes; in hexadecimal."""
        # without null, so that claims made before there were SR seeds keep their digest
        text = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def index(self, first: str, second: str, protocol: str) -> int | None:
        """The place of a comparison in the family, whichever arm is named first; None where it is not declared."""
        asked = ({first, second}, protocol)
        return next((i for i, c in enumerate(self.family) if ({c.first, c.second}, c.protocol) == asked), None)

    @field_validator("family", mode="before")
    @classmethod
    def _under_each_protocol(cls, family: Any) -> Any:
        """What `study.protocol` may be (a list, `both`) is one claim under each."""
        if not isinstance(family, list) or not all(isinstance(each, dict) for each in family):
            return family
        if not all(_are_names(each.get("protocol")) for each in family):
            return family
        return [{**each, "protocol": name} for each in family for name in named_protocols(each["protocol"])]

    @model_validator(mode="after")
    def _distinct(self) -> Claims:
        seen = set()
        for claim in self.family:
            key = (frozenset((claim.first, claim.second)), claim.protocol)
            if len(key[0]) != 2 or key in seen:
                raise ValueError(
                    f"family: {claim.first} against {claim.second} under {claim.protocol} must be two different "
                    "experiments, declared once"
                )
            seen.add(key)
        return self


def _are_names(protocol: Any) -> bool:
    return isinstance(protocol, str) or (isinstance(protocol, list) and all(isinstance(name, str) for name in protocol))
