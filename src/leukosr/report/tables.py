"""The comparison of the experiments as a table: for files, for the page and for the terminal."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from leukosr.data.splits import shown_name
from leukosr.quoting import decimal
from leukosr.report.published import PublishedArm, PublishedStudy, percentile
from leukosr.report.results import StudyResults

UNDEFINED = "–"


def comparison_table(results: StudyResults, published: PublishedStudy | None) -> pd.DataFrame:
    """One row per experiment with the arm it tests, or per arm where nothing is classified.

    It holds image quality, scores and, if given, published figures. PSNR in dB, SSIM in 0..1; accuracy and macro F1 in
    percent as mean and sd over `n_runs` seeds. There are columns only for what the study measures, and `published_*`
    and the F1 of means, which was published, only when `published` is given, with the percentile of the published PSNR
    and SSIM among the arm's images; NaN is undefined.
    """
    rows = []
    for name, arm in results.shown_arms.items():
        row: dict[str, Any] = {results.key: name, "arm": arm}
        if arm in results.arms:
            quality = results.arms[arm].quality
            row |= {"n_images": quality.n, "psnr": quality.psnr, "ssim": quality.ssim}
        if name in results.experiments:
            scores = results.experiments[name].scores
            row |= {
                "n_runs": scores.n_runs,
                "accuracy_percent": percent(scores.accuracy),
                "accuracy_sd_percent": percent(scores.accuracy_sd),
                "macro_f1_percent": percent(scores.macro_f1),
                "macro_f1_sd_percent": percent(scores.macro_f1_sd),
            }
        if published is not None:
            printed = published.arms.get(name, PublishedArm())
            if name in results.experiments:  # the quantity that was printed as F1
                mean, sd = results.experiments[name].scores.f1_of_means
                row |= {"f1_of_means_percent": percent(mean), "f1_of_means_sd_percent": percent(sd)}
            row |= {
                "published_psnr": printed.psnr,
                "published_ssim": printed.ssim,
                "published_accuracy_percent": printed.accuracy,
                "published_f1_percent": printed.f1,
                **_percentiles(results, arm, printed),
            }
        rows.append(row)
    table = pd.DataFrame(rows)
    numbers = [name for name in table.columns if name not in (results.key, "arm", "n_images", "n_runs")]
    table[numbers] = table[numbers].astype(float)
    return table


def _percentiles(results: StudyResults, arm: str, printed: PublishedArm) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    if arm in results.arms:
        for measure, value in (("psnr", printed.psnr), ("ssim", printed.ssim)):
            values = results.arms[arm].per_image[measure].dropna()
            place = None if value is None or values.empty else percentile(value, values)
            found[f"published_{measure}_percentile"] = place
    return found


def summary(results: StudyResults) -> dict[str, dict[str, float | int | None]]:
    """experiment, or arm, → what it measured as fractions (PSNR in dB), sd over images or runs; None is undefined."""
    of_images = ("psnr", "psnr_sd", "ssim", "ssim_sd")
    of_classifiers = ("accuracy", "accuracy_sd", "macro_f1", "macro_f1_sd", "n_runs", "n_train", "n_test")
    found: dict[str, dict[str, float | int | None]] = {}
    for name, arm in results.shown_arms.items():
        found[name] = {}
        if arm in results.arms:
            quality = results.arms[arm].quality
            found[name] |= {each: getattr(quality, each) for each in of_images} | {"n_images": quality.n}
        if name in results.experiments:
            found[name] |= {each: getattr(results.experiments[name].scores, each) for each in of_classifiers}
    return found


def print_summary(results: StudyResults, note: str, console: Console) -> None:
    """Print experiment, or arm, x what the study measures, with the budget note as the table's caption."""
    table = Table(title=f"{results.study}, protocol {shown_name(results.protocol)}", caption=note, title_justify="left")
    table.add_column(results.key)
    heads = ("PSNR, dB", "SSIM") if results.arms else ()
    for head in (*heads, *(("accuracy, %", "macro F1, %", "runs") if results.experiments else ())):
        table.add_column(head, justify="right", no_wrap=True)
    for row in comparison_table(results, None).to_dict("records"):
        table.add_row(results.look(str(row[results.key])).label, *quality_cells(row), *score_cells(row))
    console.print(table)


def quality_cells(row: Mapping[Hashable, Any]) -> list[str]:
    """PSNR and SSIM of a row of the comparison as text; nothing where image quality is not measured."""
    return [number(row["psnr"], 2), number(row["ssim"], 4)] if "psnr" in row else []


def score_cells(row: Mapping[Hashable, Any]) -> list[str]:
    """Accuracy, macro F1, F1 of means if any, and runs of a row as text; nothing where nothing is classified."""
    if "n_runs" not in row:
        return []
    names = [name for name in ("accuracy", "macro_f1", "f1_of_means") if f"{name}_percent" in row]
    scores = [mean_sd(row[f"{name}_percent"], row[f"{name}_sd_percent"]) for name in names]
    return [*scores, str(row["n_runs"])]


def percent(fraction: float | None) -> float | None:
    """A fraction as percent, None stays None."""
    return None if fraction is None else 100 * fraction


def number(value: float | None, digits: int) -> str:
    """`value` with `digits` decimals; an en dash for None or NaN."""
    return UNDEFINED if value is None or math.isnan(value) else decimal(value, digits)


def mean_sd(mean: float | None, sd: float | None, digits: int = 1) -> str:
    """`mean ± sd`; an en dash stands for an undefined mean, and for the sd of a single run."""
    shown = number(mean, digits)
    return shown if shown == UNDEFINED else f"{shown} ± {number(sd, digits)}"
