"""docs/scale.md from what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

HEAD = """# Scale

Written by `python -m benchmarks.scale`; do not edit. It draws sets of small images (32×32, each cell in
four views), runs the stages of a study of image quality on them, each in a process of its own, and keeps each stage
that is finished: after an interruption it resumes with the next.

Seconds are without starting Python; where it says so, they are processor time of one core that had other work, too,
and not the time by the clock. Memory is the peak of a process and its workers together, without pages of files,
which the system takes back when it needs them. Larger images take longer, and no more memory per image of the set:
stages hold a few at a time. Networks and classifiers are not measured here;
[benchmarks](benchmarks.md) has their rates.

`provenance` also compares the words of every image with those of all others. That part grows with the square of the
number of images; in sets as small as these it is hidden behind the rest, which grows in proportion.
"""
MILLION = 1_000_000


@dataclass(frozen=True)
class Piece:
    """What one stage took on a set of so many images; `note` is what else is to know of what it made."""

    stage: str
    images: int
    seconds: float
    peak_mib: float
    note: str = ""
    measured: str = ""


@dataclass(frozen=True)
class Trend:
    """How a stage grows: time as images to the power of `exponent`, from its two largest sets; MiB per 1,000 images,
    the most between any two sets that follow each other, since parts that grow late hide behind parts that end early.
    """

    last: Piece
    exponent: float
    mib: float

    def seconds(self, images: int) -> float:
        """At a size beyond what was measured; never less than in proportion."""
        return self.last.seconds * (images / self.last.images) ** max(1.0, self.exponent)

    def gib(self, images: int) -> float:
        """Peak memory at such a size."""
        return (self.last.peak_mib + max(0.0, self.mib) * (images - self.last.images) / 1000) / 1024


def trend_of(pieces: Sequence[Piece]) -> Trend | None:
    """Of one stage; None where it was measured on one set alone."""
    if len(pieces) < 2:
        return None
    steps = list(pairwise(sorted(pieces, key=lambda piece: piece.images)))
    before, last = steps[-1]
    exponent = log(last.seconds / before.seconds) / log(last.images / before.images)
    return Trend(last, exponent, max(1000 * (b.peak_mib - a.peak_mib) / (b.images - a.images) for a, b in steps))


def write_page(machine: Mapping[str, Any], pieces: Sequence[Piece], page: Path) -> None:
    """Write the page: a row per stage, a column per size, how it grows, and what a million images would take."""
    counts = sorted({piece.images for piece in pieces})
    by_stage = {name: [piece for piece in pieces if piece.stage == name] for name in {p.stage: None for p in pieces}}
    trends = {name: trend for name, found in by_stage.items() if (trend := trend_of(found))}
    head = [
        "stage",
        *(f"{count:,} images" for count in counts),
        "time grows as",
        "memory per 1,000 images",
        "a million",
    ]
    rows = [
        [name, *(_cell(found, count) for count in counts), *_growth(trends.get(name))]
        for name, found in by_stage.items()
    ]
    table = "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))
    where = f"{machine['cpu']}, {machine['memory_gib']} GiB of memory."
    largest = [max(found, key=lambda piece: piece.images) for found in by_stage.values()]
    notes = "\n".join(f"- {piece.stage} of {piece.images:,} images: {piece.note}." for piece in largest if piece.note)
    parts = [HEAD, f"{where} {_measured(pieces)}\n", table + "\n", notes + "\n"]
    if trends:
        parts.append(_limits(trends, machine["memory_gib"]))
    page.write_text("\n".join(parts), encoding="utf-8")


def _measured(pieces: Sequence[Piece]) -> str:
    """When, at which commit and on how many cores; stage by stage, and set by set, where that differs."""
    found: dict[str, dict[str, list[int]]] = {}
    for piece in pieces:
        found.setdefault(piece.measured, {}).setdefault(piece.stage, []).append(piece.images)
    if len(found) == 1:
        return f"Measured {next(iter(found))}."
    times = Counter(stage for stages in found.values() for stage in stages)

    def named(stage: str, counts: Sequence[int]) -> str:
        return stage if times[stage] == 1 else f"{stage} of {', '.join(f'{count:,}' for count in counts)}"

    parts = (f"{when}: {', '.join(named(*each) for each in stages.items())}" for when, stages in found.items())
    return "Measured " + "; ".join(parts) + "."


def cost(piece: Piece) -> str:
    """Seconds and memory."""
    return f"{piece.seconds:.1f} s, {piece.peak_mib:,.0f} MiB"


def _cell(pieces: Sequence[Piece], count: int) -> str:
    return next((cost(piece) for piece in pieces if piece.images == count), "–")


def _growth(trend: Trend | None) -> list[str]:
    if trend is None:
        return ["–"] * 3
    million = f"{trend.seconds(MILLION) / 3600:.1f} h, {trend.gib(MILLION):.1f} GiB"
    return [f"images^{trend.exponent:.2f}", f"{trend.mib:+.1f} MiB", million]


def _limits(trends: Mapping[str, Trend], memory: int) -> str:
    """What ends first as sets grow."""
    slowest = max(trends, key=lambda name: trends[name].seconds(MILLION))
    largest = max(trends, key=lambda name: trends[name].gib(MILLION))
    hours = sum(trend.seconds(MILLION) for trend in trends.values()) / 3600
    trend = trends[largest]
    longest = trends[slowest].seconds(MILLION) / 3600
    words = (
        f"A million such images would take {hours:.0f} hours here, {longest:.0f} of them in `{slowest}`, and "
        f"{trend.gib(MILLION):.1f} GiB of memory in `{largest}`"
    )
    if trend.mib > 0:
        most = trend.last.images + (memory * 1024 - trend.last.peak_mib) / trend.mib * 1000
        words += f", which would fill the {memory} GiB of this machine at about {most / 1e6:.1f} million"
    return (
        f"## A million images\n\n{words}. These are computed, not measured: time by the exponent between the two "
        "largest sets, at least 1; memory by the steepest slope between two sets. What grows with the square makes "
        "`provenance` slower than that.\n"
    )
