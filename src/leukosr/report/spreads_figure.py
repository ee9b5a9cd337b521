"""Spreads of several configurations side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from leukosr.evaluate.estimate import Estimate
from leukosr.evaluate.runs.sd_ratio import Steadiness
from leukosr.evaluate.runs.trials import Trials
from leukosr.quoting import decimal
from leukosr.report.style import SEQUENCE, new_figure
from leukosr.terminal import print_table


def print_spreads(found: Sequence[Steadiness], first: Trials, console: Console) -> None:
    """One row per configuration, in points."""
    heads = (
        "table",
        "runs",
        "mean (95 % interval)",
        "sd (95 % interval if runs are nearly normal)",
        "range",
        f"sd / that of {found[0].name}" + (" (95 % together)" if len(found) > 2 else ""),
    )
    rows = []
    for each in found:
        spread = each.spread
        sd = "–" if spread.sd is None else _text(spread.sd, first.point, 2)
        ratio = "–" if each.ratio is None else _text(each.ratio, 1, 2)
        mean, spread_range = _text(spread.mean, first.point, 1), decimal(spread.range / first.point, 1)
        rows.append([each.name, str(spread.runs), mean, sd, spread_range, ratio])
    console.print(f"{first.metric}, {first.unit}")
    print_table(console, heads, rows, left=1)
    for each in found[1:]:
        console.print(f"{each.name}: {verdict(each, found[0].name)}.")


def verdict(each: Steadiness, first: str) -> str:
    """The verdict on one configuration's sd against the first's."""
    ratio = each.ratio
    if ratio is None or ratio.ci_low is None or ratio.ci_high is None:
        return f"its sd cannot be compared with that of {first}, as one of them is 0"
    if ratio.ci_high < 1:
        return f"its runs lie closer together than those of {first}"
    if ratio.ci_low > 1:
        return f"its runs lie farther apart than those of {first}"
    return f"inconclusive, its sd may be larger or smaller than that of {first}"


def _text(estimate: Estimate, point: float, digits: int) -> str:
    text = decimal(estimate.value / point, digits)
    if estimate.ci_low is None or estimate.ci_high is None:
        return text
    return f"{text} ({decimal(estimate.ci_low / point, digits)} … {decimal(estimate.ci_high / point, digits)})"


def spreads_figure(path: Path, tables: Sequence[tuple[str, Trials]], found: Sequence[Steadiness], note: str) -> None:
    """Every run as a dot, one row per configuration, with mean ± sd and the ratio of sds to the first row."""
    first = tables[0][1]
    with new_figure(path, 7.4, 0.5 * len(tables) + 1.2, note) as figure:
        panel = figure.subplots()
        for place, ((_, trials), each) in enumerate(zip(tables, found, strict=True)):
            values = np.sort(trials.table["value"][trials.runs].to_numpy(float)) / first.point
            shift = 0.22 * np.cos(np.arange(len(values)) * np.pi)  # so that neighbours do not overlap
            panel.scatter(values, place + shift, color=SEQUENCE[0 if place else 6], s=20, alpha=0.8, zorder=3)
            panel.vlines(values.mean(), place - 0.36, place + 0.36, color="black", linewidth=2, zorder=4)
            words = f"{decimal(values.mean(), 1)} ± {decimal(values.std(ddof=1), 1)}"
            if each.ratio is not None:
                words += f"   × {_text(each.ratio, 1, 2)}"
            panel.annotate(words, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=9)
        panel.set_yticks(range(len(tables)), [name for name, _ in tables])
        panel.set_ylim(len(tables) - 0.5, -0.5)
        panel.grid(True, axis="x")
        panel.set_xlabel(
            f"{first.metric.replace('_', ' ')}, {first.unit} (dots: runs, bar: mean; right: mean ± sd, × sd over the "
            "first row's)"
        )
