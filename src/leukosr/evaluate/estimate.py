"""A number that was measured, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

# two runs that lie together by chance hide how far others lie apart: of 300 sources, with runs apart by a few points,
# intervals by two runs held the truth in 80 % of simulations, those by three or more in 90 % and more
TOO_FEW = 2
TOO_WIDE = "too wide to say anything"  # shown in place of an interval that says nothing


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, all in one unit; None where there is too little to give one."""

    value: float
    ci_low: float | None
    ci_high: float | None


def says_nothing(low: float, high: float, possible: float) -> bool:
    """Whether an interval covers more than half of the `possible` range, as that of two runs may; all in one unit."""
    return high - low > possible / 2
