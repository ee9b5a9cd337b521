"""A number that was measured, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, all in one unit; None where there is too little to give one."""

    value: float
    ci_low: float | None
    ci_high: float | None
