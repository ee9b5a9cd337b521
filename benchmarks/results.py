"""The file of results: written, merged, read and shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.measure import Row, Work
from leukosr.errors import LeukoError
from leukosr.files import write_json


@dataclass(frozen=True)
class Results:
    """All that was measured on one machine."""

    machine: dict[str, Any]
    rows: list[Row]


def read_results(path: Path) -> Results:
    """Read a file that `write_results` wrote. Raises LeukoError for another."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Results(content["machine"], [_row(row) for row in content["rows"]])
    except (ValueError, KeyError, TypeError):
        raise LeukoError(f"{path} holds no results of benchmarks: name another file, or remove it") from None


def _row(values: dict[str, Any]) -> Row:
    values = {key: value for key, value in values.items() if key != "met"}
    spread, work = values["spread"], values["work"]
    return Row(**{**values, "spread": spread and tuple(spread), "work": work and Work(**work)})


def write_results(path: Path, results: Results) -> None:
    """Write machine facts and one object per row."""
    rows = [{**asdict(row), "met": row.met} for row in results.rows]
    write_json(path, {"machine": results.machine, "rows": rows})


def merged(old: Results | None, new: Results, measured: Iterable[str], order: Sequence[str]) -> Results:
    """`new` with the rows of `old` whose benchmarks are not in `measured`, in `order`.

    Raises LeukoError where `old` is of another machine or another torch: one table speaks of one.
    """
    if old is None:
        return new
    if different := [key for key in new.machine if old.machine.get(key) != new.machine[key]]:
        raise LeukoError(
            f"the file of results was measured with another {', '.join(different)}: name another file with --out, "
            "or remove it and measure everything again"
        )
    again = set(measured)
    rows = [row for row in old.rows if row.benchmark not in again] + new.rows
    rows.sort(key=lambda row: order.index(row.benchmark))
    return Results(new.machine, rows)


def table_of(rows: Sequence[Row]) -> Table:
    """The rows for a terminal."""
    table = Table("what", "unit", "reference", "ours", "ratio", "quartiles", "goal", "n", title="Benchmarks")
    for row in rows:
        colour = {True: "green", False: "red", None: "default"}[row.met]
        spread = "–" if row.spread is None else f"{shown(row.spread[0])} … {shown(row.spread[1])}"
        goal = f"[{colour}]{row.goal or '–'}[/]"
        figures = (shown(row.reference), shown(row.ours), shown(row.ratio))
        table.add_row(row.name, row.unit, *figures, spread, goal, str(row.rounds))
    return table


def shown(value: float | None) -> str:
    """Three significant digits, without an exponent where that is readable."""
    if value is None:
        return "–"
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"
