"""The power of a planned study as a table, sentences and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console

from leukosr.evaluate.arms.pilot import Components
from leukosr.evaluate.arms.plan import Plan
from leukosr.evaluate.estimate import Estimate
from leukosr.quoting import counted, decimal, listed
from leukosr.terminal import print_table

NOTHING = 1e-12  # a variance below it is rounding


def as_json(found: Plan, components: Components) -> str:
    """An object with the fields of `Plan`, the grid flat, and the components; undefined is null.

    `found` gives, for each row of the grid, the probability of better or clearly better, with its interval.
    """
    grid = [each.as_record() for each in found.grid]
    likely = [each.pop("found") for each in grid]
    record = {**asdict(found), "grid": grid, "found": likely, "components": asdict(components)}
    return json.dumps(record, indent=2, allow_nan=False)


def print_plan(found: Plan, components: Components, console: Console) -> None:
    """Print what the pilot showed, the power of each word at each size, and what more runs alone can do."""
    console.print(components_sentence(components))
    if caution := zero_sentence(components):
        console.print(caution)
    words = list(found.grid[0].power)
    rows = []
    for each in found.grid:
        record = each.as_record()
        sizes = (str(record[name]) for name in ("sources", "sr_seeds", "runs", "trainings"))
        rows.append([*sizes, _found(each.found), *(decimal(100 * each.power[word], 0) for word in words)])
    console.print(f"Probability of each verdict where the true difference is {_points(found.difference)}, %:")
    print_table(console, ("sources", "SR seeds", "runs", "trainings", "found", *words), rows)
    console.print(
        "Runs are those of the classifier on the images of each SR network, trainings those of both arms if both have "
        "SR networks (an arm without one has its runs once); SR trainings come on top, one per SR seed. Found is "
        "better or clearly better"
        + (", in brackets what the pilot, itself a sample, does not exclude (roughly)." if components.pilot else ".")
    )
    console.print(needed_sentence(found))


def _found(power: Estimate) -> str:
    if power.ci_low is None or power.ci_high is None:
        return decimal(100 * power.value, 0)
    value, low, high = (decimal(100 * each, 0) for each in (power.value, power.ci_low, power.ci_high))
    return f"{value} ({low} … {high})"


def components_sentence(found: Components) -> str:
    """How far runs and sources let the difference vary, at the size of the pilot."""
    networks = "" if found.networks is None else f" Another SR network moves it by {_points(found.networks**0.5)} (sd)."
    runs = (found.runs + (found.seeds or 0.0)) ** 0.5
    return (
        f"Another run moves the difference by {_points(runs)} (sd).{networks} {found.seen} sources leave a "
        f"standard error of {_points((found.sources / found.seen) ** 0.5)}, however many runs there are."
    )


def zero_sentence(found: Components) -> str | None:
    """That a pilot saw no variance of runs, sources or SR networks; None where its estimate of none of them is 0."""
    parts = {"runs": found.runs + (found.seeds or 0.0), "sources": found.sources, "SR networks": found.networks}
    none = [name for name, variance in parts.items() if variance is not None and variance < NOTHING]
    if found.pilot is None or not none:
        return None
    return (
        f"The pilot's estimate of how far {listed(none)} lie apart is 0: they vary no more than chance in single "
        "images would let them, and a pilot of this size cannot tell that from more. Powers may be too hopeful: go by "
        "the lower figures in brackets."
    )


def needed_sentence(found: Plan) -> str:
    """How many runs it takes, or that no number of them suffices. Where there is no gain to find: to show as much."""
    if found.difference == 0:
        return _none_to_find(found)
    aim, smallest = f"{100 * found.aim:.0f} %", found.smallest_difference_with_infinite_runs
    size, more, per = counted(found.at.sources, "source"), "more sources", ""
    if found.at.sr_seeds > 1:
        size, more, per = f"{size} and {found.at.sr_seeds} SR seeds", f"{more} or SR seeds", " per SR network"
    if smallest is None:
        return f"With {size}, even endless runs show no difference with {aim} power, however large. It takes {more}."
    if found.runs_needed is None:
        return (
            f"No number of runs suffices: with {size}, even endless runs show a difference with {aim} power only from "
            f"{_points(smallest)} on. It takes {more}."
        )
    return (
        f"{found.runs_needed:,} runs{per} show {_points(found.difference)} with {aim} power at {size}; endless runs "
        f"would show {_points(smallest)}."
    )


def _none_to_find(found: Plan) -> str:
    at, aim = (found.at.sources, found.at.sr_seeds), f"{100 * found.aim:.0f} %"
    here = [each for each in found.grid if (each.size.sources, each.size.sr_seeds) == at]
    enough = [each.size.runs for each in here if each.power["equivalent"] >= found.aim]
    runs = f"{min(enough):,} runs show" if enough else "no number of runs in this table shows"
    size = counted(found.at.sources, "source")
    return f"There is no gain to find; {runs} that arms are equivalent with {aim} power at {size}."


def _points(fraction: float) -> str:
    return f"{decimal(100 * fraction, 1)} points"
