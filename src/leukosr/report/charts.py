"""Charts of results and data: accuracy, image quality, confusion, class counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from leukosr.data.manifest import ROLES, Row
from leukosr.evaluate.arms.predictions import count_runs
from leukosr.quoting import counted
from leukosr.report.results import StudyResults
from leukosr.report.style import SEQUENCE, Look, new_figure
from leukosr.report.tables import UNDEFINED, mean_sd, number, percent


def accuracy_figure(path: Path, results: StudyResults, note: str) -> None:
    """Test accuracy of every experiment: a dot per run, a bar for their mean, mean ± sd as text.

    A dotted line marks what always naming the commonest class of the test images would score.
    """
    with new_figure(path, 5.8, 0.5 * len(results.experiments) + 1.1, note) as figure:
        panel = figure.subplots()
        for place, result in enumerate(results.experiments.values()):
            scores = result.scores
            runs = [100 * run["accuracy"] for run in scores.per_seed.values() if run["accuracy"] is not None]
            panel.scatter(runs, _spread(len(runs), place), color=result.look.colour, s=34, alpha=0.85, zorder=3)
            if scores.accuracy is not None:
                panel.vlines(100 * scores.accuracy, place - 0.3, place + 0.3, color="black", linewidth=2, zorder=4)
            text = f"{mean_sd(percent(scores.accuracy), percent(scores.accuracy_sd))}  (n = {scores.n_runs})"
            beside(panel, place, text)
        majority = _majority_percent(results)
        if majority is not None:
            panel.axvline(majority, color="#555555", linestyle=":", linewidth=1.3)
            panel.annotate(
                "always the commonest class",
                (majority, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, 3),
                textcoords="offset points",
                fontsize=8,
                color="#555555",
                ha="left",
                va="bottom",
            )
        label_rows(panel, [result.look.label for result in results.experiments.values()])
        low, high = panel.get_xlim()
        panel.set_xlim(max(-1.0, low - 1), min(101.5, high + 1))
        panel.set_xlabel("test accuracy, % (dots: seeds, bar: mean; right: mean ± sd)")


def quality_figure(path: Path, results: StudyResults, note: str) -> None:
    """Distribution of PSNR and SSIM over the images of every arm.

    Boxes are quartiles, whiskers reach from the 5th to the 95th percentile.
    """
    with new_figure(path, 5.8, 2 * (0.42 * len(results.arms) + 0.7), note) as figure:
        for panel, column, label, digits in zip(
            figure.subplots(2, 1), ("psnr", "ssim"), ("PSNR, dB", "SSIM"), (2, 3), strict=True
        ):
            for place, result in enumerate(results.arms.values()):
                values = result.per_image[column].dropna().to_numpy()
                if not len(values):
                    beside(panel, place, UNDEFINED)
                    continue
                panel.boxplot(
                    values,
                    positions=[place],
                    orientation="horizontal",
                    widths=0.6,
                    whis=(5, 95),
                    showfliers=False,
                    patch_artist=True,
                    manage_ticks=False,
                    boxprops={"facecolor": result.look.colour, "linewidth": 0.8},
                    medianprops={"color": "black", "linewidth": 1.8},
                )
                beside(panel, place, f"{number(getattr(result.quality, column), digits)}  (n = {len(values)})")
            label_rows(panel, [result.look.label for result in results.arms.values()])
            panel.set_xlabel(f"{label} against the ground truth (right: mean)")


def confusion_figure(path: Path, look: Look, predictions: pd.DataFrame, classes: tuple[str, ...], note: str) -> None:
    """Confusion matrix of one experiment: counts pooled over runs, coloured by the share of the true class (row).

    `predictions` has the columns of predictions.csv; rows are true classes, columns predicted ones.
    """
    counts = (
        pd.crosstab(predictions["true"], predictions["predicted"])
        .reindex(index=list(classes), columns=list(classes), fill_value=0)
        .to_numpy()
    )
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    runs = count_runs(predictions)
    names = [name if len(name) <= 14 else f"{name[:13]}…" for name in classes]
    with new_figure(path, 0.74 * len(classes) + 1.45, 0.64 * len(classes) + 1.4, note) as figure:
        panel = figure.subplots()
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), count in np.ndenumerate(counts):
            share = f"{100 * shares[row, column]:.0f} %" if totals[row, 0] else UNDEFINED
            ink = "white" if shares[row, column] > 0.55 else "black"
            panel.text(column, row, f"{count}\n{share}", ha="center", va="center", color=ink, fontsize=9)
        panel.set_xticks(range(len(classes)), names, rotation=30, ha="right", rotation_mode="anchor")
        panel.set_yticks(range(len(classes)), names)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        panel.set_xlabel("predicted")
        panel.set_ylabel("true")
        title = f"{look.label}, {counted(runs, 'run', 'runs pooled')}"
        panel.set_title(fill(title, 8 * len(classes), break_long_words=False, break_on_hyphens=False))


def class_distribution(path: Path, rows: Sequence[Row], note: str, protocol: str) -> None:
    """Images of each class in each role under a protocol but `unused`, as labelled bars."""
    counts = class_counts(rows, protocol).drop(columns="unused", errors="ignore")
    classes, roles = list(counts.index), list(counts.columns)
    thick = 0.8 / max(1, len(roles))
    with new_figure(path, 5.8, 0.24 * len(classes) * len(roles) + 0.3 * len(classes) + 1.0, note) as figure:
        panel = figure.subplots()
        for place, name in enumerate(roles):
            places = np.arange(len(classes)) + (place - (len(roles) - 1) / 2) * thick
            label, colour = name.replace("sr_", "SR ").replace("_", " "), SEQUENCE[place % len(SEQUENCE)]
            bars = panel.barh(places, counts[name], height=thick * 0.92, color=colour, label=label)
            panel.bar_label(bars, padding=3, fontsize=8)
        panel.set_yticks(range(len(classes)), classes)
        panel.invert_yaxis()
        panel.margins(x=0.1)
        panel.set_xlabel("images")
        figure.legend(loc="outside upper left", ncols=3)


def class_counts(rows: Sequence[Row], protocol: str) -> pd.DataFrame:
    """Number of images by class (rows) and role (columns, those that occur, in the order of the pipeline)."""
    labels = pd.Series([row.label or "all" for row in rows], name="class")
    counts = pd.crosstab(labels, pd.Series([row.role(protocol) or "unused" for row in rows], name="role"))
    known = [name for name in ROLES if name in counts.columns]
    return counts[known + [name for name in counts.columns if name not in known]]


def _majority_percent(results: StudyResults) -> float | None:
    """Accuracy of always naming the commonest class of the test images."""
    first = next(iter(results.experiments.values())).predictions
    true = first.drop_duplicates("image")["true"]
    return 100 * float(true.value_counts().iloc[0]) / len(true) if len(true) else None


def _spread(count: int, place: int) -> list[float]:
    """Heights of the dots of one arm: side by side, so that equal accuracies do not overlap."""
    return [place + 0.36 * (index - (count - 1) / 2) / max(count - 1, 1) for index in range(count)]


def beside(panel: Axes, place: float, text: str) -> None:
    """Write `text` to the right of a row."""
    panel.annotate(text, (1.03, place), xycoords=("axes fraction", "data"), va="center", fontsize=9)


def label_rows(panel: Axes, labels: list[str]) -> None:
    """One row per label, from the top."""
    panel.set_yticks(range(len(labels)), labels)
    panel.set_ylim(len(labels) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    panel.grid(True, axis="x")
