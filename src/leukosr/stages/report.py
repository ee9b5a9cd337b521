"""Bring the results of all arms together on one page."""

from __future__ import annotations

import shutil
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
    results = load_results(layout, params.arms, params.study.protocol)
    target = out or layout.report
    page = write_report(target, params, results)
    _write_dvc_plots(target / "plots", params, layout)
    print_summary(results, budget_note(params.budget), console)
    console.print(f"report: {page}")


def _write_dvc_plots(folder: Path, params: Params, layout: Layout) -> None:
    """The tables behind `dvc plots show`, one file an arm in a folder a plot."""
    tables = {
        "confusion": {arm: layout.classify(arm, params.study.protocol) / "predictions.csv" for arm in params.arms},
        "training": {arm: layout.classify(arm, params.study.protocol) / "history.csv" for arm in params.arms},
        "super_resolution": {method: layout.sr(method) / "history.csv" for method in params.train_sr},
    }
    for name, files in tables.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for arm, file in files.items():
            shutil.copyfile(file, folder / name / f"{arm}.csv")


def show(params: Params, console: Console, layout: Layout) -> None:
    """Print the comparison that the last report was made from, and the page's path."""
    results = load_results(layout, params.arms, params.study.protocol)
    print_summary(results, budget_note(params.budget), console)
    console.print(f"report: {layout.report / 'index.html'}")
