"""The power of a planned study as a table, sentences and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from leukosr.evaluate.arms.plan import Components, Plan


def as_json(found: Plan, components: Components) -> str:
    """An object with the fields of `Plan`, the grid flat, and the components; undefined is null."""
    record = {**asdict(found), "grid": [each.as_record() for each in found.grid], "components": asdict(components)}
    return json.dumps(record, indent=2, allow_nan=False)


def print_plan(found: Plan, components: Components, console: Console) -> None:
    """Print what the pilot showed, the power of each word at each size, and what more runs alone can do."""
    console.print(components_sentence(components))
    words = list(found.grid[0].power)
    table = Table(title=f"Power for a true difference of {_points(found.difference)}, %", title_justify="left")
    for head in ("sources", "SR seeds", "runs", "trainings", *words):
        table.add_column(head, justify="right")
    for each in found.grid:
        record = each.as_record()
        sizes = (str(record[name]) for name in ("sources", "sr_seeds", "runs", "trainings"))
        table.add_row(*sizes, *(f"{100 * each.power[word]:.0f}" for word in words))
    console.print(table)
    console.print(
        "Runs are those of the classifier on the images of each SR network, trainings those of both arms; SR trainings "
        "come on top, one an SR seed."
    )
    console.print(needed_sentence(found))


def components_sentence(found: Components) -> str:
    """How far runs and sources let the difference vary, at the size of the pilot."""
    return (
        f"One run apart from another moves the difference by {_points(found.runs**0.5)} (sd); "
        f"{found.seen} sources like these leave a standard error of {_points((found.sources / found.seen) ** 0.5)}, "
        "however many runs there are."
        + (
            ""
            if found.networks is None
            else f" One SR network apart from another moves it by {_points(found.networks**0.5)}."
        )
    )


def needed_sentence(found: Plan) -> str:
    """How many runs it takes, or that no number of them suffices."""
    size = f"{found.at.sources} sources" + (f" and {found.at.sr_seeds} SR seeds" if found.at.sr_seeds > 1 else "")
    aim, smallest = f"{100 * found.aim:.0f} %", _points(found.smallest_difference_with_infinite_runs)
    if found.runs_needed is None:
        return (
            f"No number of runs suffices: with {size}, even endless runs show a difference with {aim} power only from "
            f"{smallest} on. It takes more sources."
        )
    return (
        f"{found.runs_needed:,} runs show {_points(found.difference)} with {aim} power at {size}; endless runs would "
        f"show {smallest}."
    )


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f} points"
