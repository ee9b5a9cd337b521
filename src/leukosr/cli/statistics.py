"""Commands of the command line that judge anyone's tables: predictions of arms, and trials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukosr.cli.options import check_margin, check_there, console, errors, metric_named
from leukosr.errors import LeukoError
from leukosr.quoting import counted, listed, meant
from leukosr.terminal import print_raw

if TYPE_CHECKING:
    from leukosr.evaluate.arms.pairs import Pair
    from leukosr.evaluate.arms.significance import Comparison


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Tables of two or more arms, the one of interest first: a row for each image and seed, with the "
            "columns image, source, seed, true and predicted; with --columns, yours may have other names."
        ),
    ],
    against: Annotated[
        str | None, typer.Option(help="Compare every other arm with this one, by its short name.", metavar="NAME")
    ] = None,
    primary: Annotated[
        str | None,
        typer.Option(
            "--primary",
            "--metric",
            help="The primary metric: macro_f1 or accuracy; by default as declared, else macro_f1.",
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="The smallest difference that matters, a fraction; by default as declared, else 0.02."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(metavar="OURS=YOURS,…", help="What your tables call a column, e.g. true=label,image=file."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Compare only images whose names match, where * stands for any characters. Where a study declared "
            "claims, verdicts on such a part are exploratory.",
        ),
    ] = None,
    details: Annotated[bool, typer.Option("--details", help="Also print p values over runs or sources alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects instead of a table.")] = False,
) -> None:
    """Say whether the first arm is better than each other one, from per-image predictions."""
    check_there(files, "name the predictions.csv of an arm")
    from leukosr.evaluate.arms.conflicts import without_conflicts
    from leukosr.evaluate.arms.declared import claims_asked, compare_declared, place_in_family, read_sidecar
    from leukosr.evaluate.arms.pairs import pair
    from leukosr.evaluate.arms.predictions import column_names, names_of, read_predictions, refuse_folder
    from leukosr.evaluate.arms.sample_size import sample_size
    from leukosr.evaluate.arms.significance import MARGIN
    from leukosr.evaluate.arms.significance import compare as compare_pairs
    from leukosr.report import comparisons

    for path in files:
        refuse_folder(path)
    if len(files) < 2:
        raise LeukoError("name the predictions.csv of two arms or more")
    names = names_of(files)
    if against is not None and against not in names:
        raise LeukoError(f"--against is '{against}', expected one of {listed(names)}{meant(against, names)}")
    asked = (
        [(names[0], name) for name in names[1:]]
        if against is None
        else [(name, against) for name in names if name != against]
    )
    origin_of = {name: read_sidecar(path) for name, path in zip(names, files, strict=True)}
    origins = [(origin_of[one], origin_of[two]) for one, two in asked]
    claims = claims_asked(origins)
    primary = primary or (claims.metric if claims else "macro_f1")
    margin = margin if margin is not None else claims.margin if claims else MARGIN
    metric = metric_named(primary)
    check_margin(margin)
    called = column_names(columns or [])
    arms = {name: read_predictions(path, name, called, images) for path, name in zip(files, names, strict=True)}
    pairs = [pair(arms[one], arms[two]) for one, two in asked]
    # what a study declared, it declared of all of its test images
    places = [None if images is not None else place_in_family(one, other) for one, other in origins]

    def judged(pairs: list[Pair]) -> list[Comparison]:
        if claims is None:
            return compare_pairs(pairs, metric, margin)
        return compare_declared(pairs, places, claims, metric, margin)

    found = judged(pairs)
    for note in (note for arm in arms.values() for note in arm.notes):
        errors.print(note)
    for each in pairs:
        if each.left_out:
            left = counted(each.left_out, "prediction")
            errors.print(f"{each.a} – {each.b}: {left} left out, which only one of them has")
        if not each.paired:
            errors.print(f"{each.a} – {each.b}: fewer than two runs in common, so all runs are compared unpaired")
    if as_json:
        print_raw(comparisons.as_json(found))
        return
    comparisons.print_comparisons(found, [sample_size(arm) for arm in arms.values()], console, details)
    kept, conflicts = without_conflicts(list(arms.values()))
    if any(arm.table.empty for arm in kept):
        errors.print("without the images of sources that have two labels, at least one arm has no images left")
    elif conflicts:
        without = dict(zip(names, kept, strict=True))
        again = [pair(without[one], without[two]) for one, two in asked]
        comparisons.print_without_conflicts(found, judged(again), conflicts, console)


def calibrate(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder for calibration.csv and calibration.png.")],
    comparisons: Annotated[int, typer.Option(min=1, help="Simulated comparisons of each design.")] = 1500,
    margin: Annotated[float, typer.Option(help="The smallest difference that matters, as a fraction.")] = 0.02,
    design: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Simulate this design instead: runs, class_sources, sds, …"),
    ] = None,
) -> None:
    """Simulate arms whose true difference is known, and count how often `compare` is wrong."""
    import pandas as pd

    from leukosr.cli.design_file import read_design
    from leukosr.engine.parallel import count_workers
    from leukosr.engine.progress import track
    from leukosr.evaluate.arms.calibration import DESIGNS, POWER, POWER_DIFFERENCES
    from leukosr.evaluate.arms.calibration import calibrate as simulate
    from leukosr.evaluate.arms.predictions import names_of
    from leukosr.files import new_file
    from leukosr.outputs import claimed
    from leukosr.report.calibration_figure import calibration_figure, calibration_sentence

    check_margin(margin)
    files = dict(zip(names_of(design), design, strict=True)) if design else {}
    if POWER in files:
        raise LeukoError(f"{files[POWER]}: a design cannot be called {POWER}, as rows about power are: rename the file")
    designs = {name: read_design(path) for name, path in files.items()} or DESIGNS
    for name, each in designs.items():
        if each.accuracy <= margin:
            raise LeukoError(
                f"the design {name} has accuracy {each.accuracy:g}, and no other arm can be worse by the "
                f"margin {margin:g}: lower --margin or raise accuracy"
            )
    parts = len(designs) + (0 if design else len(POWER_DIFFERENCES))
    judged = simulate(designs, margin, comparisons, count_workers("auto"), power=not design)
    found = [each for part in track(judged, parts, "simulating") for each in part]
    with claimed(out, "calibrate"):
        with new_file(out / "calibration.csv") as file:
            pd.DataFrame([each.as_record() for each in found]).to_csv(file, index=False, lineterminator="\n")
        calibration_figure(out / "calibration.png", found)
    console.print(f"calibrate: {calibration_sentence(found)} -> {out}")


def variance(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="TRIALS",
            help="A table of trials: trial, learning_rate, streams, metrics. Of several tables each is one "
            "configuration, and their spreads are compared with that of the first.",
        ),
    ],
    metric: Annotated[str, typer.Option(help="The column to analyse.")] = "accuracy",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write the record and its figures to this folder.")
    ] = None,
    note: Annotated[
        str, typer.Option(metavar="TEXT", help="A line for the foot of the figures, e.g. the budget.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print an object instead of tables.")] = False,
) -> None:
    """Say how large the run-to-run variance in a table of trials is, and which random streams cause it.

    Of several tables, say whose runs lie closer together.
    """
    check_there(files, "name a table of trials")
    from leukosr.evaluate.runs.trials import read_trials
    from leukosr.evaluate.runs.variance import analyse, as_record
    from leukosr.evaluate.runs.variance import as_json as text_of
    from leukosr.files import write_json
    from leukosr.outputs import claimed
    from leukosr.report.variance_figures import print_variance, variance_figures

    if len(files) > 1:
        _compare_spreads(files, metric, out, note, as_json)
        return
    table = read_trials(files[0], metric)
    found = analyse(table)
    if out is not None:
        with claimed(out, "variance"):
            write_json(out / "variance.json", as_record(found))
            variance_figures(out, table, found, note or f"{files[0].name}: {counted(found.trials, 'trial')}")
    if as_json:
        print_raw(text_of(found))
        return
    print_variance(found, table, console)
    if out is not None:
        console.print(f"variance: variance.json and 3 figures -> {out}")


def _compare_spreads(files: list[Path], metric: str, out: Path | None, note: str, as_json: bool) -> None:
    from leukosr.evaluate.arms.predictions import names_of
    from leukosr.evaluate.runs.sd_ratio import as_json as text_of
    from leukosr.evaluate.runs.sd_ratio import as_records, steadiness
    from leukosr.evaluate.runs.trials import read_trials
    from leukosr.files import write_json
    from leukosr.outputs import claimed
    from leukosr.report.spreads_figure import print_spreads, spreads_figure

    tables = [(name, read_trials(path, metric)) for name, path in zip(names_of(files), files, strict=True)]
    found = steadiness(tables)
    if out is not None:
        with claimed(out, "variance"):
            write_json(out / "spreads.json", as_records(found))
            spreads_figure(out / "spreads.png", tables, found, note)
    if as_json:
        print_raw(text_of(found))
        return
    print_spreads(found, tables[0][1], console)
    if out is not None:
        console.print(f"variance: spreads.json and a figure -> {out}")
