"""Figures and sentences on run-to-run variance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from leukosr.evaluate.runs.components import Component
from leukosr.evaluate.runs.spread import MOST_SEEDS, Spread, differences
from leukosr.evaluate.runs.trials import Trials
from leukosr.evaluate.runs.variance import Variance
from leukosr.quoting import counted, decimal
from leukosr.report.style import SEQUENCE, new_figure, plain_numbers
from leukosr.report.tables import UNDEFINED
from leukosr.terminal import print_table

FEWEST_RUNS = 6  # of one learning rate: the sd of fewer may be a third of what it looks like, or three times as much
PUBLISHED_POINTS = 5  # “about 5 points” of accuracy between runs, as the case studies say


def print_variance(variance: Variance, trials: Trials, console: Console) -> None:
    """The spread by learning rate, the components, and what both mean, in points."""
    point, unit = trials.point, trials.unit
    by_rate = []
    for rate, own in variance.by_learning_rate.items():
        mean, own_range = (decimal(each / point, 2) for each in (own.mean.value, own.range))
        by_rate.append([f"{rate:g}", str(own.runs), mean, _sd_text(own, point), own_range])
    heads = ("learning rate", "runs", "mean", "sd (95 % interval if runs are nearly normal)", "range")
    console.print(f"{variance.metric}, {unit}")
    print_table(console, heads, by_rate)
    found = _parts(variance)
    if len(found) > 1 or len(variance.by_learning_rate) > 1:  # else the one sd stands above, with its interval
        parts = [
            [name, sd, f"{low} … {high}" if _enough(variance) else UNDEFINED]
            for name, part in found.items()
            for sd, low, high in [[decimal(each / point, 2) for each in (part.sd, part.ci_low, part.ci_high)]]
        ]
        console.print("what each stream carries")
        print_table(console, ("stream", f"sd, {unit}", "95 % interval if runs are normal"), parts, left=1)
    for sentence in sentences(variance, point, unit):
        console.print(sentence)


def _sd_text(spread: Spread, point: float) -> str:
    """The sd of runs with its interval; without one it could be any."""
    if spread.sd is None or not spread.sd.value:
        return "–" if spread.sd is None else "0.00"
    if spread.sd.ci_low is None or spread.sd.ci_high is None:
        shared = "" if spread.seeds == spread.runs else f" of {counted(spread.seeds, 'seed')} a stream"
        return f"not measurable from {counted(spread.runs, 'run')}{shared}"
    sd, low, high = (decimal(each / point, 2) for each in (spread.sd.value, spread.sd.ci_low, spread.sd.ci_high))
    return f"{sd} ({low} … {high})"


def sentences(variance: Variance, point: float, unit: str) -> list[str]:
    """The findings as sentences; `point` is one point in the metric's own unit."""
    lines = [f"{stream}: no estimate, {why}." for stream, why in variance.components.left_out.items()]
    if variance.failed:
        were = "was" if variance.failed == 1 else "were"
        lines.append(f"{counted(variance.failed, 'trial')} that did not finish, or without a value, {were} left out.")
    if variance.run_sd == 0:
        return [
            *lines,
            "All runs of one learning rate have the same score (do they name one class for every image?): such runs do "
            "not tell how far others lie apart.",
        ]
    joined = [name.replace("+", ", ") for name in variance.components.by_stream if "+" in name]
    lines += [f"{names}: their seeds are one-to-one here, so only their total is known." for names in joined]
    if variance.components.residual is None and variance.components.by_stream:
        lines.append(
            "No two trials agree in all streams but one, so interactions and the hardware are in every figure."
        )
    more = variance.components.carries_more
    lines += [f"{one} carries more than {other} (p < .05, corrected for all pairs)." for one, other in more]
    if len(variance.components.by_stream) > 1 and not more:
        lines.append("No stream is shown to carry more than another.")
    lines += _streams_at_once(variance, point, unit)
    lines += importance_words(variance.importances)
    if not _enough(variance):
        few = f"{counted(_most_runs(variance), 'run')} of one configuration cannot say how far runs lie apart"
        return [*lines, f"{few}: {FEWEST_RUNS} or more can."]
    if (apart := _most_apart(variance)) < FEWEST_RUNS:
        few = f"Of the runs of one configuration no more than {apart} share no seed, and so few cannot say how far runs"
        return [*lines, f"{few} lie apart: {FEWEST_RUNS} or more can (in a sweep, -S sweep.design=runs)."]
    if variance.two_runs_differ_by:
        shares = ", ".join(
            f"{_many(p, unit)} or more in {100 * q:.0f} %" for p, q in variance.two_runs_differ_by.items()
        )
        lines.append(f"Two runs of one configuration differ by {shares} of all pairs.")
    for points, seeds in variance.seeds_needed.items():
        needed = f"more than {MOST_SEEDS:,}" if seeds is None else f"{seeds:,}"
        lines.append(
            f"With endless test images, {needed} paired runs of two arms whose runs vary independently would show "
            f"{_many(points, unit)} (80 % power); with the sources that there are, ask `leukosr plan`."
        )
    return lines


def _most_runs(variance: Variance) -> int:
    """Runs of the configuration that has most."""
    return max(spread.runs for spread in variance.by_learning_rate.values())


def _most_apart(variance: Variance) -> int:
    """Runs that share no seed, of the configuration that has most of them."""
    return max(spread.seeds for spread in variance.by_learning_rate.values())


def _enough(variance: Variance) -> bool:
    """Whether runs say how far they lie apart; with fewer no interval and no share of pairs is shown."""
    return _most_runs(variance) >= FEWEST_RUNS


def _streams_at_once(variance: Variance, point: float, unit: str) -> Iterator[str]:
    """If one stream was varied at a time: the spread of exact repeats, and whether the streams add up."""
    if variance.added_sd is None or variance.run_sd is None:
        return
    if variance.components.residual is not None:
        apart = variance.components.residual.sd / point
        differ = f"differ by an sd of {apart:.2f} {unit}: that is the hardware"
        yield f"Exact repeats {differ if apart else 'are equal, so the hardware adds nothing'}."
    added, (spread, *others) = variance.added_sd, variance.by_learning_rate.values()
    if others or spread.sd is None or spread.sd.ci_low is None or spread.sd.ci_high is None:
        return
    figures = (spread.sd.value, spread.sd.ci_low, spread.sd.ci_high, added)
    sd, low, high, summed = (decimal(each / point, 2) for each in figures)
    words = (
        f"With all streams at once runs have an sd of {sd} {unit} ({low} … {high}); if the streams added up it would "
        f"be {summed}"
    )
    if added < spread.sd.ci_low:
        yield f"{words}. They do more together than by themselves."
    elif added > spread.sd.ci_high:
        yield f"{words}. They do not add up: one alone moves a run nearly as far as all of them."
    else:
        yield f"{words}, which the interval does not exclude."


def importance_words(importances: Mapping[str, float]) -> Iterator[str]:
    """Optuna's importances, if any."""
    if importances:
        shares = ", ".join(
            f"{name.replace('_', ' ').replace('+', ', ')} {decimal(share, 2)}" for name, share in importances.items()
        )
        yield f"Importances by Optuna's fANOVA, without intervals: {shares}."


def _many(number: str, unit: str) -> str:
    return f"{number} {unit.removesuffix('s') if number == '1' else unit}"


def _parts(variance: Variance) -> dict[str, Component]:
    residual = variance.components.residual
    return {**variance.components.by_stream, **({"residual": residual} if residual is not None else {})}


def variance_figures(folder: Path, trials: Trials, variance: Variance, note: str) -> list[Path]:
    """runs.png, components.png and, where there are enough runs, differences.png in `folder`."""
    files = [folder / name for name in ("runs.png", "components.png", "differences.png")]
    _runs(files[0], trials, variance, note)
    _components(files[1], trials, variance, note)
    if _most_apart(variance) < FEWEST_RUNS:
        files.pop().unlink(missing_ok=True)  # of an earlier call, by more runs
        return files
    _differences(files[2], trials, note)
    return files


def _runs(path: Path, trials: Trials, variance: Variance, note: str) -> None:
    """Every run as a dot, by learning rate."""
    table = trials.table[trials.runs]
    rates = sorted(table["learning_rate"].unique())
    with new_figure(path, 5.8, 0.5 * len(rates) + 1.2, note) as figure:
        panel = figure.subplots()
        for place, rate in enumerate(rates):
            values = np.sort(table["value"][table["learning_rate"] == rate].to_numpy(float)) / trials.point
            shift = 0.25 * np.cos(np.arange(len(values)) * np.pi)  # so that neighbours do not overlap
            panel.scatter(values, place + shift * (len(values) > 1), color=SEQUENCE[0], s=22, alpha=0.8, zorder=3)
            panel.vlines(values.mean(), place - 0.38, place + 0.38, color="black", linewidth=2, zorder=4)
            sd = variance.by_learning_rate[float(rate)].sd
            words = (
                f"{decimal(values.mean(), 1)} ± {'–' if sd is None else decimal(sd.value / trials.point, 1)}  "
                f"(n = {len(values)})"
            )
            panel.annotate(words, (1.03, place), xycoords=("axes fraction", "data"), va="center", fontsize=9)
        panel.set_yticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        panel.set_ylim(len(rates) - 0.5, -0.5)
        panel.grid(True, axis="x")
        panel.set_ylabel("learning rate")
        panel.set_xlabel(f"{trials.metric.replace('_', ' ')}, {trials.unit} (dots: runs, bar: mean; right: mean ± sd)")


def _components(path: Path, trials: Trials, variance: Variance, note: str) -> None:
    """The sd of every stream with its interval, where there are enough runs."""
    parts, lines = _parts(variance), _enough(variance)
    with new_figure(path, 5.8, 0.45 * max(1, len(parts)) + 1.1, note) as figure:
        panel = figure.subplots()
        for place, (name, part) in enumerate(parts.items()):
            colour = SEQUENCE[6] if name == "residual" else SEQUENCE[0]
            panel.barh(place, part.sd / trials.point, height=0.6, color=colour)
            low, high = part.ci_low / trials.point, part.ci_high / trials.point
            if lines:
                panel.hlines(place, low, high, color="black", linewidth=1.6)
        panel.set_yticks(range(len(parts)), [name.replace("+", " + ") for name in parts])
        panel.invert_yaxis()
        panel.grid(True, axis="x")
        panel.set_xlabel(f"standard deviation, {trials.unit}{' (lines: 95 % intervals)' if lines else ''}")


def _differences(path: Path, trials: Trials, note: str) -> None:
    """The share of pairs of runs that differ by at least a number of points."""
    apart = differences(trials)
    with new_figure(path, 5.6, 3.0, note) as figure:
        panel = figure.subplots()
        share = 100 * (1 - np.arange(len(apart)) / max(1, len(apart)))
        panel.step([0.0, *apart], [100.0, *share], where="pre", color=SEQUENCE[0], linewidth=1.8)
        if trials.metric == "accuracy":
            panel.axvline(PUBLISHED_POINTS, color=SEQUENCE[1], linestyle="--", linewidth=1.3)
            panel.annotate(
                "“about 5 points”",
                (PUBLISHED_POINTS, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(4, -4),
                textcoords="offset points",
                va="top",
                fontsize=9,
                color=SEQUENCE[1],
            )
        least = 1.1 * PUBLISHED_POINTS if trials.metric == "accuracy" else 0.1
        panel.set_xlim(0, max(least, 1.05 * float(apart.max(initial=0))))
        panel.set_ylim(0, 102)
        panel.grid(True)
        panel.set_xlabel(f"difference of two runs of one configuration, {trials.unit} or more")
        panel.set_ylabel("pairs that differ so much, %")


def search_figure(path: Path, table: pd.DataFrame, drawn: list[str], objective: str, note: str) -> None:
    """The score of every configuration of a search by each setting."""
    done = table[table["state"] == "COMPLETE"]
    best = int(done[objective].to_numpy(float).argmax())
    with new_figure(path, 2.9 * len(drawn) + 0.6, 3.0, note) as figure:
        panels = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
        for panel, name in zip(panels, drawn, strict=True):
            panel.scatter(done[name], done[objective], color=SEQUENCE[0], s=26)
            panel.scatter(
                done[name].iloc[best], done[objective].iloc[best], color=SEQUENCE[1], s=60, label="best", zorder=3
            )
            if name != "augmentation":
                panel.set_xscale("log")
                plain_numbers(panel.xaxis)
            panel.set_xlabel(name.replace("_", " "))
            panel.grid(True)
        panels[0].set_ylabel(f"{objective.replace('_', ' ')},\nmean over seeds, validation")
        panels[0].legend(loc="lower right")
