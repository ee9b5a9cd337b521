"""The facts and the problems that `leukosr doctor` reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Problem:
    """What is wrong, and how to fix it."""

    what: str
    remedy: str


@dataclass
class Diagnosis:
    """`facts` is ready for JSON."""

    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, what: str, remedy: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(what, remedy))

    def as_json(self) -> dict[str, Any]:
        """The facts and the problems, each with its remedy."""
        return {**self.facts, "problems": [asdict(each) for each in self.problems]}
