"""The comparison of the experiments as a table: for files, for the page and for the terminal."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from leukosr.report.published import PublishedArm, PublishedStudy
from leukosr.report.results import StudyResults

UNDEFINED = "–"


def comparison_table(results: StudyResults, published: PublishedStudy | None) -> pd.DataFrame:
    """One row an experiment: quality of its test arm, its classifiers' scores and, where there are any, published ones.

    PSNR in dB, SSIM in 0..1; accuracy and macro F1 in percent as mean and sd over `n_runs` seeds. The
    `published_*` columns are there only when `published` is; NaN is undefined.
    """
    rows = []
    for name, result in results.experiments.items():
        quality, scores = results.arms[result.arm].quality, result.scores
        row: dict[str, Any] = {
            "experiment": name,
            "n_images": quality.n,
            "psnr": quality.psnr,
            "ssim": quality.ssim,
            "n_runs": scores.n_runs,
            "accuracy_percent": percent(scores.accuracy),
            "accuracy_sd_percent": percent(scores.accuracy_sd),
            "macro_f1_percent": percent(scores.macro_f1),
            "macro_f1_sd_percent": percent(scores.macro_f1_sd),
        }
        if published is not None:
            printed = published.arms.get(name, PublishedArm())
            row |= {
                "published_psnr": printed.psnr,
                "published_ssim": printed.ssim,
                "published_accuracy_percent": printed.accuracy,
                "published_f1_percent": printed.f1,
            }
        rows.append(row)
    table = pd.DataFrame(rows)
    numbers = [name for name in table.columns if name not in ("experiment", "n_images", "n_runs")]
    table[numbers] = table[numbers].astype(float)
    return table


def summary(results: StudyResults) -> dict[str, dict[str, float | int | None]]:
    """experiment → its scores as fractions (PSNR in dB), with sd over images or runs; None is undefined."""
    of_images = ("psnr", "psnr_sd", "ssim", "ssim_sd")
    of_classifiers = ("accuracy", "accuracy_sd", "macro_f1", "macro_f1_sd", "n_runs", "n_train", "n_test")
    found: dict[str, dict[str, float | int | None]] = {}
    for name, result in results.experiments.items():
        quality = results.arms[result.arm].quality
        found[name] = {each: getattr(quality, each) for each in of_images} | {"n_images": quality.n}
        found[name] |= {each: getattr(result.scores, each) for each in of_classifiers}
    return found


def print_summary(results: StudyResults, note: str, console: Console) -> None:
    """Print experiment x PSNR, SSIM, accuracy, macro F1 with the budget note as the table's caption."""
    table = Table(title=f"{results.study}, protocol {results.protocol}", caption=note, title_justify="left")
    table.add_column("experiment")
    for head in ("PSNR, dB", "SSIM", "accuracy, %", "macro F1, %", "runs"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in comparison_table(results, None).to_dict("records"):
        table.add_row(
            results.experiments[str(row["experiment"])].look.label,
            number(row["psnr"], 2),
            number(row["ssim"], 4),
            mean_sd(row["accuracy_percent"], row["accuracy_sd_percent"]),
            mean_sd(row["macro_f1_percent"], row["macro_f1_sd_percent"]),
            str(row["n_runs"]),
        )
    console.print(table)


def percent(fraction: float | None) -> float | None:
    """A fraction as percent, None stays None."""
    return None if fraction is None else 100 * fraction


def number(value: float | None, digits: int) -> str:
    """`value` with so many decimals; an en dash when it is None or NaN."""
    return UNDEFINED if value is None or math.isnan(value) else f"{value:.{digits}f}"


def mean_sd(mean: float | None, sd: float | None, digits: int = 1) -> str:
    """`mean ± sd`; an en dash stands for an undefined mean, and for the sd of a single run."""
    shown = number(mean, digits)
    return shown if shown == UNDEFINED else f"{shown} ± {number(sd, digits)}"
