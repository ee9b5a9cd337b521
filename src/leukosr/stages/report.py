"""Bring the results of all experiments together on one page."""

from __future__ import annotations

import shutil
from pathlib import Path

from leukosr.config import Params
from leukosr.data.manifest import read_manifest
from leukosr.data.splits import check_claims
from leukosr.files import write_json
from leukosr.layout import Layout, of_network
from leukosr.report.answer import study_answer
from leukosr.report.page import write_report
from leukosr.report.publish import prediction_folders
from leukosr.report.results import StudyResults, load_results
from leukosr.report.style import budget_note
from leukosr.report.tables import print_summary, summary
from leukosr.report.verdicts import judge, leakage
from leukosr.stages.context import Context

SHOWN = ("accuracy", "macro_f1", "psnr", "ssim")


def run(context: Context) -> None:
    """Write reports/<study>/index.html with its figures and tables, and print the comparison and its answer."""
    results = _results(context)
    target = context.out or context.layout.report
    page = write_report(target, context.params, results[0], others=results[1:])
    _write_dvc_plots(target / "plots", context.params, context.layout)
    _write_dvc_metrics(target / "scores", results)
    _print(context, results)
    context.console.print(f"report: {page}")


def _results(context: Context) -> list[StudyResults]:
    """The results under every protocol of the study. Figures of a split that is not disjoint are refused."""
    layout, params = context.layout, context.params
    check_claims(read_manifest(layout.manifest), params.study.protocols)
    return [load_results(layout, params, protocol) for protocol in params.study.protocols]


def _print(context: Context, results: list[StudyResults]) -> None:
    params, console = context.params, context.console
    for each in results:
        print_summary(each, budget_note(params.budget), console)
        for sentence in leakage(each.manifest, each.protocol, params):
            console.print(f"{each.protocol}: {sentence}")
    for sentence in study_answer(params, results, judge(params, results)).sentences:
        console.print(sentence)


def _write_dvc_plots(folder: Path, params: Params, layout: Layout) -> None:
    """The tables behind `dvc plots show`, one file per experiment or method, one folder per plot."""
    classified = prediction_folders(params, layout)
    tables = {
        "confusion": {name: folder / "predictions.csv" for name, folder in classified.items()},
        "training": {name: folder / "history.csv" for name, folder in classified.items()},
        "super_resolution": {
            name: layout.sr(of_network(name, params.trained_networks[0])) / "history.csv" for name in params.train_sr
        },
    }
    for name, files in tables.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for each, file in files.items():
            shutil.copyfile(file, folder / name / f"{each}.csv")


def _write_dvc_metrics(folder: Path, results: list[StudyResults]) -> None:
    """The figures behind `dvc metrics show`, which has a row per file: one per experiment or arm, few columns wide."""
    for each in results:
        below = folder / each.protocol if len(results) > 1 else folder
        below.mkdir(parents=True, exist_ok=True)
        for name, found in summary(each).items():
            shown = {key: round(value, 4) for key in SHOWN if (value := found.get(key)) is not None}
            write_json(below / f"{name}.json", shown)


def show(context: Context) -> None:
    """Print the comparison that the last report was made from, what it answers, and the page's path."""
    _print(context, _results(context))
    context.console.print(f"report: {context.layout.report / 'index.html'}")
