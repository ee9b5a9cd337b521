"""Runs benchmarks one by one, each in a fresh process, and keeps what they find."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from rich.console import Console

from benchmarks import measure
from benchmarks.machine import machine_facts
from benchmarks.measure import Options, Row
from benchmarks.results import Results, merged, read_results, table_of, write_results
from benchmarks.roofline import with_goal
from leukosr.versions import git_commit

BENCHMARKS = (
    "roofline", "capstone", "second_order", "inference", "compact", "tiled", "real_esrgan_step", "srgan_step",
    "resnet50", "lite0", "quality", "overhead",
)  # fmt: skip
SLOW = ("tiled",)


def run_all(chosen: Sequence[str], options: Options, target: Path | None) -> Results:
    """Measure; with a `target` that file holds everything measured so far after each benchmark."""
    console = Console(width=None if sys.stdout.isatty() else 140)  # a log file has no width to fit
    machine, now = measure.in_child(machine_facts), f"{date.today():%Y-%m-%d}, commit {git_commit()[:9]}"
    kept = read_results(target) if target is not None and target.exists() else None
    shown = Results(machine, [])
    merged(kept, shown, [], BENCHMARKS)  # a file of another machine is refused before anything is measured
    for name in chosen:
        console.print(f"[bold]{name}[/] …")
        found = measure.in_child(run_one, name, options)
        known = [*(kept.rows if kept is not None else []), *shown.rows]
        rows = [with_goal(replace(row, measured=now), known) for row in found]
        shown = Results(machine, shown.rows + rows)
        kept = merged(kept, Results(machine, rows), [name], BENCHMARKS)
        if target is not None:
            write_results(target, kept)
    console.print(table_of(shown.rows))
    return kept or shown


def run_one(name: str, options: Options) -> list[Row]:
    """Run one benchmark in this process."""
    return list(importlib.import_module(f"benchmarks.{name}").run(options))
