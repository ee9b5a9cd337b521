"""Comparisons of arms as a table, sentences and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from leukosr.evaluate.arms.sample_size import SampleSize
from leukosr.evaluate.arms.significance import LEVEL, Comparison, smallest_p
from leukosr.terminal import Terminal

NAMES = {"accuracy": "accuracy", "macro_f1": "macro F1"}


def as_json(found: Sequence[Comparison]) -> str:
    """A list of objects with the fields of `Comparison`; undefined is null."""
    return json.dumps([asdict(each) for each in found], indent=2, allow_nan=False)


def print_comparisons(found: Sequence[Comparison], sizes: Sequence[SampleSize], console: Console) -> None:
    """Print what was compared, the differences in points with their verdicts, and what the design can reach."""
    for size in sizes:
        console.print(size_sentence(size))
    table = Table()
    for head in ("arms", "metric", "verdict", "difference, points", "P(better)", "p, runs", "p, Holm", "p, sources"):
        table.add_column(head, justify="left" if head in ("arms", "metric", "verdict") else "right", no_wrap=True)
    for each in found:
        table.add_row(
            f"{each.a} – {each.b}",
            NAMES[each.metric] + (" (primary)" if each.primary else ""),
            each.verdict,
            difference_text(each),
            f"{each.p_improvement:.2f}",
            p_text(each.p_value),
            p_text(each.p_holm),
            p_text(each.p_source),
        )
    # as wide as it is: a narrow terminal breaks the lines, and nothing is cut off
    width = Measurement.get(console, console.options.update(max_width=1000), table).maximum
    Terminal(file=console.file, width=width, force_terminal=console.is_terminal).print(table)
    console.print(reach_sentence(found))


def size_sentence(size: SampleSize) -> str:
    """Accuracy of one arm, and what its test images are worth."""
    return f"{size.name}: accuracy {100 * size.accuracy:.1f} %. {worth_sentence(size)}"


def worth_sentence(size: SampleSize) -> str:
    """Images, sources and what they are worth."""
    worth = (
        "" if size.effective is None else f", worth about {size.effective:.0f} independent ones (ICC {size.icc:.2f})"
    )
    if not size.known:
        return (
            f"The sources of the {size.images} test images are not all known: each counts as one, so copies of one "
            "micrograph make intervals too narrow and verdicts too sure."
        )
    return (
        f"{size.images} test images of {size.sources} sources{worth}; with that many sources alone an accuracy of "
        f"{100 * size.accuracy:.1f} % could be anything from {100 * size.low:.1f} to {100 * size.high:.1f} %."
    )


def difference_text(found: Comparison) -> str:
    """`+1.2 (-0.3 … +2.7)`, in points."""
    if found.ci_low is None or found.ci_high is None:
        return f"{100 * found.difference:+.1f} (one source: no interval)"
    return f"{100 * found.difference:+.1f} ({100 * found.ci_low:+.1f} … {100 * found.ci_high:+.1f})"


def p_text(p: float | None) -> str:
    """A p value with two significant digits; an en dash where there is none."""
    return "–" if p is None else "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def reach_sentence(found: Sequence[Comparison]) -> str:
    """How small the corrected p can become with these runs, and whether that allows a verdict at all."""
    runs, family = min(each.runs for each in found), sum(each.metric == found[0].metric for each in found)
    if runs == 1:
        return "One common seed: there is no p over runs, so every verdict is inconclusive; train with more seeds."
    reach, comparisons = smallest_p(runs, family), "1 comparison" if family == 1 else f"{family} comparisons"
    end = (
        "" if reach < LEVEL else f", so no verdict but inconclusive is possible: {runs_needed(family)} pairs are needed"
    )
    return f"{runs} paired runs and {comparisons}: the smallest p after Holm is {reach:.2g}{end}."


def runs_needed(family: int) -> int:
    """The fewest paired runs with which `better` is within reach."""
    runs = 2
    while smallest_p(runs, family) >= LEVEL:
        runs += 1
    return runs
