"""A part of the report page that the template lays out as it comes: words, tables and pictures under a heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from leukosr.evaluate.estimate import TOO_WIDE, Estimate, says_nothing
from leukosr.quoting import decimal
from leukosr.report.tables import UNDEFINED


@dataclass(frozen=True)
class TableOfBlock:
    """A table: `words` columns of text on the left, numbers after them."""

    label: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1


@dataclass(frozen=True)
class Block:
    """One subsection. `pictures` maps names of figures, without suffix, to their captions."""

    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[TableOfBlock] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)


def percent_with_interval(share: Estimate) -> str:
    """`8.8 (5.5 … 13.7)`, in percent, of a share in [0, 1]; `8.8` where there is no interval."""
    return _with_interval(share, "", 1)


def points_with_interval(difference: Estimate) -> str:
    """`+1.2 (−0.3 … +2.7)`, in points, of a difference of two such shares."""
    return _with_interval(difference, "+", 2)


def ratio_with_interval(ratio: Estimate) -> str:
    """`40 (−20 … 130)`, in percent, of a ratio that may take any value; `40 (–)` where any other is as likely."""
    shown = _with_interval(ratio, "", inf)
    return shown if "(" in shown else f"{shown} ({UNDEFINED})"


def _with_interval(found: Estimate, sign: str, possible: float) -> str:
    mean = decimal(100 * found.value, 1, sign)
    if found.ci_low is None or found.ci_high is None:
        return mean
    if says_nothing(found.ci_low, found.ci_high, possible):
        return f"{mean} ({TOO_WIDE})"
    return f"{mean} ({decimal(100 * found.ci_low, 1, sign)} … {decimal(100 * found.ci_high, 1, sign)})"
