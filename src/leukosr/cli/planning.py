"""The command that plans a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukosr.cli.options import check_fraction, check_margin, check_there, console, metric_named
from leukosr.errors import LeukoError
from leukosr.quoting import counted, listed, short
from leukosr.terminal import print_raw

if TYPE_CHECKING:
    from leukosr.evaluate.arms.pilot import Components
    from leukosr.evaluate.arms.two_way import Metric

DIGITS = 6  # of a number of runs, sources or networks: a study of more is not planned by simulation
SCORE = 0.75  # of both arms, where nothing is known of them
LARGEST_SD = 100.0  # of single sources and cells; a rare class can make it several times 1


def plan(
    pilot: Annotated[
        list[Path] | None, typer.Argument(help="predictions.csv of two arms: a pilot; without one, give --sd options.")
    ] = None,
    difference: Annotated[float, typer.Option(help="The true difference, a fraction.")] = 0.02,
    margin: Annotated[float, typer.Option(help="The difference that matters, a fraction.")] = 0.02,
    primary: Annotated[
        str, typer.Option("--primary", "--metric", help="The metric: macro_f1 or accuracy.")
    ] = "macro_f1",
    family: Annotated[int, typer.Option(min=1, help="Comparisons that Holm corrects for.")] = 1,
    aim: Annotated[float, typer.Option(min=0.05, max=0.99, help="The power to reach.")] = 0.8,
    runs: Annotated[
        str, typer.Option(metavar="N,…", help="Runs of the classifier per SR network, to try.")
    ] = "6,8,12,20,40,80",
    sources: Annotated[
        str | None, typer.Option(metavar="N,…", help="Sources to try; by default 1, 2, 4 times the pilot's.")
    ] = None,
    sr_seeds: Annotated[
        str | None, typer.Option(metavar="N,…", help="SR seeds to try; by default the pilot's.")
    ] = None,
    sd_run: Annotated[
        float | None, typer.Option(min=0, help="Without a pilot: sd of the difference over runs; default: 0.")
    ] = None,
    sd_source: Annotated[
        float | None, typer.Option(min=0, max=LARGEST_SD, help="Without a pilot: sd over single sources.")
    ] = None,
    sd_cell: Annotated[
        float | None,
        typer.Option(min=0, max=LARGEST_SD, help="Without a pilot: sd of one source in one run; default: 0."),
    ] = None,
    sd_sr: Annotated[
        float | None, typer.Option(min=0, help="The sd over SR networks, also beside a pilot of one network.")
    ] = None,
    score: Annotated[
        float | None, typer.Option(help=f"Without a pilot: score of both arms, roughly; default: {SCORE}.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(metavar="OURS=YOURS,…", help="What your tables call a column, e.g. true=label,image=file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print an object instead of a table.")] = False,
) -> None:
    """Say how likely each verdict is in a study yet to run, by runs and sources, from a pilot's predictions."""
    check_there(pilot or (), "name the predictions.csv of an arm")
    from leukosr.evaluate.arms.pilot import with_networks
    from leukosr.evaluate.arms.plan import Question, Size
    from leukosr.evaluate.arms.plan import plan as planned
    from leukosr.report import plans

    # of single sources and cells sds may exceed 1: a rare class weighs as much in macro F1 as any other
    given = {"--difference": difference, "--score": score, "--sd-run": sd_run, "--sd-sr": sd_sr}
    for option, value in given.items():
        check_fraction(option, value or 0.0)
    check_margin(margin)
    metric = metric_named(primary)
    tried = _numbers(sources, "--sources") if sources else []
    networks = _numbers(sr_seeds, "--sr-seeds") if sr_seeds else []
    if pilot:
        assumptions = {"--sd-run": sd_run, "--sd-source": sd_source, "--sd-cell": sd_cell, "--score": score}
        if needless := [option for option, value in assumptions.items() if value is not None]:
            raise LeukoError(
                "a pilot says how far runs and sources lie apart and how good the arms are: leave out "
                f"{listed(needless)}"
            )
        found, seen_networks = _of_pilot(pilot, metric, columns or [])
    elif columns:
        raise LeukoError("--columns belongs to a pilot: name the predictions.csv of two arms, or leave it out")
    else:
        found, seen_networks = _without_pilot(tried, sd_run or 0.0, sd_source, sd_cell or 0.0, score), 1
    if sd_sr is not None:
        if found.networks is not None:
            raise LeukoError("the pilot says how far SR networks lie apart: leave out --sd-sr")
        found = with_networks(found, sd_sr**2)
        if max(networks, default=1) < 2:
            raise LeukoError(
                "--sd-sr says how far SR networks lie apart, which counts from two of them on: give --sr-seeds, e.g. 3"
            )
    tried = tried or [found.seen, 2 * found.seen, 4 * found.seen]
    networks = networks or [seen_networks]
    sizes = [Size(r, s, k) for k in networks for s in tried for r in _numbers(runs, "--runs")]
    answer = planned(found, Question(difference, margin, family, aim), sizes, Size(0, tried[0], networks[0]))
    if as_json:
        print_raw(plans.as_json(answer, found))
        return
    plans.print_plan(answer, found, console)


def _without_pilot(
    tried: list[int], sd_run: float, sd_source: float | None, sd_cell: float, score: float | None
) -> Components:
    """The components that the options give; `tried` are the numbers of sources."""
    from leukosr.evaluate.arms.pilot import assumed

    if sd_source is None or not tried:
        lacking = [name for name, there in (("--sd-source", sd_source is not None), ("--sources", tried)) if not there]
        raise LeukoError(f"name the predictions.csv of two arms, or give {' and '.join(lacking)}")
    if tried[0] < 2:
        raise LeukoError("--sources begins with 1, and one source shows no variance: give 2 or more")
    if not (sd_source or sd_cell):
        raise LeukoError("--sd-source and --sd-cell are both 0, so no source varies: give one of them above 0")
    score = SCORE if score is None else score
    return assumed(sources=sd_source**2, seen=tried[0], runs=sd_run**2, cells=sd_cell**2, score=score)


def _of_pilot(files: list[Path], metric: Metric, columns: list[str]) -> tuple[Components, int]:
    """The components of a pilot, and how many SR networks it has."""
    from leukosr.evaluate.arms.pairs import pair
    from leukosr.evaluate.arms.pilot import components
    from leukosr.evaluate.arms.predictions import column_names, names_of, read_predictions

    if len(files) != 2:
        raise LeukoError(f"a pilot is the predictions.csv of two arms, got {counted(len(files), 'file')}")
    called = column_names(columns)
    both = pair(*(read_predictions(path, name, called) for path, name in zip(files, names_of(files), strict=True)))
    return components(both, metric), both.networks or 1


def _numbers(text: str, option: str) -> list[int]:
    """`6,8,12` as numbers of at least 1, each once."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) <= DIGITS and int(part) for part in parts):
        most = f"{10**DIGITS - 1:,}"
        raise LeukoError(f"{option} is '{short(text)}', expected whole numbers from 1 to {most}, e.g. 6,8,12")
    return list(dict.fromkeys(map(int, parts)))
