"""The comparison of the arms as a table: for files, for the page and for the terminal."""

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
    """One row an arm: image quality, its classifiers' scores and, where there are some, published figures.

    PSNR in dB, SSIM in 0..1; accuracy and macro F1 in percent as mean and sd over `n_runs` seeds. The
    `published_*` columns are there only when `published` is; NaN is undefined.
    """
    rows = []
    for arm, result in results.arms.items():
        quality, scores = result.quality, result.classification
        row: dict[str, Any] = {
            "arm": arm,
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
            printed = published.arms.get(arm, PublishedArm())
            row |= {
                "published_psnr": printed.psnr,
                "published_ssim": printed.ssim,
                "published_accuracy_percent": printed.accuracy,
                "published_f1_percent": printed.f1,
            }
        rows.append(row)
    table = pd.DataFrame(rows)
    numbers = [name for name in table.columns if name not in ("arm", "n_images", "n_runs")]
    table[numbers] = table[numbers].astype(float)
    return table


def summary(results: StudyResults) -> dict[str, dict[str, float | int | None]]:
    """arm → its scores as fractions (PSNR in dB), with sd over images or runs; None is undefined."""
    return {
        arm: {
            "psnr": result.quality.psnr,
            "psnr_sd": result.quality.psnr_sd,
            "ssim": result.quality.ssim,
            "ssim_sd": result.quality.ssim_sd,
            "n_images": result.quality.n,
            "accuracy": result.classification.accuracy,
            "accuracy_sd": result.classification.accuracy_sd,
            "macro_f1": result.classification.macro_f1,
            "macro_f1_sd": result.classification.macro_f1_sd,
            "n_runs": result.classification.n_runs,
            "n_train": result.classification.n_train,
            "n_test": result.classification.n_test,
        }
        for arm, result in results.arms.items()
    }


def print_summary(results: StudyResults, note: str, console: Console) -> None:
    """Print arm x PSNR, SSIM, accuracy, macro F1 with the budget note as the table's caption."""
    table = Table(title=f"{results.study}, protocol {results.protocol}", caption=note, title_justify="left")
    table.add_column("arm")
    for head in ("PSNR, dB", "SSIM", "accuracy, %", "macro F1, %", "runs"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in comparison_table(results, None).to_dict("records"):
        table.add_row(
            results.arms[str(row["arm"])].look.label,
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
