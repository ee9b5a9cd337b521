"""Commands about the study in the workspace, and about the project itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from leukosr.cli.options import PARAMS, ParamsFile, console
from leukosr.config import load_params
from leukosr.config.checks import watched_weights
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.quoting import counted
from leukosr.terminal import print_raw


def show(params: ParamsFile = PARAMS) -> None:
    """Print the comparison of the study that params.yaml holds."""
    from leukosr.stages import report as stage
    from leukosr.stages.context import Context

    settings = load_params(params)
    layout = Layout(settings.study.name)
    if not (layout.report / "index.html").is_file():
        raise LeukoError(f"study {layout.study} has no report in {layout.report} yet: run `make repro`")
    stage.show(Context(settings, layout, console))


def which(params: ParamsFile = PARAMS) -> None:
    """Say which study and budget params.yaml holds, and whether its images and published weights are there."""
    from leukosr.data.catalogue import fetch_command
    from leukosr.pretrained.named import find_weights

    settings = load_params(params)
    console.print(f"study {settings.study.name} ({settings.study.title}), budget {settings.budget.name}")
    root = settings.prepare.root
    if os.path.isdir(root):
        console.print(f"images: in {root}")
    elif root in {wanted.folder for wanted in settings.synthesize.values()}:
        console.print(f"images: not in {root} yet; `make repro` draws them")
    else:
        raise LeukoError(
            f"the images of this study belong in {root}, which does not exist: get them with `{fetch_command(root)}`, "
            "or with `dvc checkout` if DVC has them"
        )
    for file in watched_weights(settings):
        find_weights(file)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False, params: ParamsFile = PARAMS
) -> None:
    """Show what this machine offers, what `auto` means on it, and what would keep a study from running.

    The exit code is always 0.
    """
    from leukosr.doctor import examine, show_diagnosis

    diagnosis = examine(params)
    if as_json:
        print_raw(json.dumps(diagnosis.as_json(), indent=2))
        return
    show_diagnosis(diagnosis, console)


def sync(params: ParamsFile = PARAMS) -> None:
    """Log the results of finished stages that MLflow lacks, because its server failed or its store is gone."""
    from leukosr.tracking.sync import sync as log_later

    settings = load_params(params)
    synced = log_later(settings, params, Layout(settings.study.name))
    for name in synced.logged:
        console.print(f"logged: {name}")
    for stage in synced.outdated:
        console.print(
            f"not logged: {stage}, as params.yaml, the manifest or the results have changed since DVC ran it; "
            "`dvc repro` makes it again"
        )
    if synced.unfinished:
        console.print(f"no results yet: {', '.join(synced.unfinished)}")
    left_out = len(synced.outdated) + len(synced.unfinished)
    console.print(f"sync: {len(synced.logged)} logged, {len(synced.held)} there already, {left_out} skipped")


def publish(
    name: Annotated[str, typer.Option(help="The folder below results/ to write.")], params: ParamsFile = PARAMS
) -> None:
    """Copy the report and metrics of a finished study to results/NAME, for git; an earlier snapshot is replaced."""
    from leukosr.report.publish import publish_results

    settings = load_params(params)
    target = Path("results") / name
    replaced = ", in place of the earlier snapshot" if target.exists() else ""
    publish_results(settings, params, Layout(settings.study.name), target)
    console.print(f"publish: {target}{replaced}; commit it with git")


def side_by_side(
    reports: Annotated[list[Path], typer.Argument(help="Folders of reports/ or results/: image quality alone.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to write.")],
) -> None:
    """Set the image quality of several reports side by side, e.g. of one study at two scales."""
    from leukosr.outputs import claimed
    from leukosr.report.side_by_side import write_side_by_side

    with claimed(out, "side-by-side", reads=reports):
        page = write_side_by_side(out, reports)
    console.print(f"side-by-side: {len(reports)} reports -> {page}")


def dose_response(
    results: Annotated[list[Path], typer.Argument(help="Folders of results/, each of one scale and noise level.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to write.")],
    baseline: Annotated[str, typer.Option(help="The experiment that all others are compared with.")] = "bicubic",
    bound: Annotated[str, typer.Option(help="The experiment on originals: what SR could win.")] = "ground_truth",
) -> None:
    """Say at which resolution SR starts to pay, at each noise level, from the results of several runs."""
    from leukosr.outputs import claimed
    from leukosr.report.dose_response import write_dose_response

    with claimed(out, "dose-response", reads=results):
        page, sentences = write_dose_response(out, results, baseline, bound)
    for sentence in sentences:
        console.print(sentence)
    console.print(f"dose-response: {len(results)} results -> {page}")


def combine(
    results: Annotated[
        list[Path], typer.Argument(help="Folders of results/: the pieces. Every arm that is claimed must be in one.")
    ],
    study: Annotated[str, typer.Option(help="The study whose claims are judged, of conf/study/.")],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The folder to write; an earlier one of combine is replaced.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set-param", "-S", metavar="KEY=VALUE", help="A setting of the study, as for `dvc exp run`."),
    ] = None,
) -> None:
    """Put a study together that was run in pieces, and judge its claims as one family."""
    from leukosr.outputs import claimed
    from leukosr.report.combined_page import write_combined

    with claimed(out, "combine", reads=results):
        page, answer, notes = write_combined(out, study, results, settings or [])
    for sentence in (*answer.sentences, *notes):
        console.print(sentence)
    console.print(f"combine: {counted(len(results), 'result')} -> {page}, with all claims")


def forest(
    results: Annotated[list[Path], typer.Argument(help="Folders of results/ of studies that declare claims.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder for forest.csv and forest.png.")],
) -> None:
    """Draw a forest plot of the claims of several published studies, with the verdict on each."""
    from leukosr.outputs import claimed
    from leukosr.report.forest import write_forest

    with claimed(out, "forest", reads=results):
        findings = write_forest(out, results)
    for each in findings:
        console.print(each.sentence)
    claims, studies = counted(len(findings), "claim"), counted(len(results), "result")
    console.print(f"forest: {claims} of {studies} -> {out}")


def rejudge(
    snapshots: Annotated[
        list[Path] | None, typer.Argument(help="Folders of results/; by default all with verdicts.")
    ] = None,
) -> None:
    """Judge published studies again by today's rules, from the predictions stored with them."""
    from datetime import date

    from leukosr.report.rejudge import judge_again
    from leukosr.report.snapshot import with_verdicts

    if not (folders := snapshots or with_verdicts(Path("results"))):
        raise LeukoError(
            "there are no published studies with verdicts in results/: name their folders, or run the command in the "
            "root of the project"
        )
    changed = [sentence for folder in folders for sentence in judge_again(folder, date.today())]
    for sentence in changed:
        console.print(sentence)
    pages = counted(len(folders), "page")
    console.print(f"rejudge: {pages}, {len(changed)} verdicts changed -> {', '.join(map(str, folders))}")
