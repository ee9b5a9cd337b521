"""Bring the results of all arms together on one page."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from leukosr.config import Params
from leukosr.layout import Layout
from leukosr.report.page import write_report
from leukosr.report.results import load_results
from leukosr.report.style import budget_note
from leukosr.report.tables import print_summary


def run(params: Params, console: Console, layout: Layout, out: Path | None = None) -> None:
    """Write reports/<study>/index.html with its figures and tables, and print the comparison."""
    results = load_results(layout.root, params.study.name, params.arms, params.study.protocol)
    page = write_report(out or layout.report, params, results)
    print_summary(results, budget_note(params.budget), console)
    console.print(f"report: {page}")


def show(params: Params, console: Console, layout: Layout) -> None:
    """Print the comparison that the last report was made from, and the page's path."""
    results = load_results(layout.root, params.study.name, params.arms, params.study.protocol)
    print_summary(results, budget_note(params.budget), console)
    console.print(f"report: {layout.report / 'index.html'}")
