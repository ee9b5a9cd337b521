"""Training curves of the SR networks and of the classifiers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from leukosr.evaluate.arms.predictions import count_runs
from leukosr.quoting import counted
from leukosr.report.style import SEQUENCE, Look, new_figure, plain_numbers

LOSS = "loss_"  # begins the columns of the losses
NARROW = 0.25  # of the width: names of stages beside such a one stand at two heights


def sr_curves(path: Path, look: Look, history: pd.DataFrame, note: str) -> None:
    """Losses (log scale) and validation PSNR and SSIM of one SR training by iteration, stages separated by lines.

    `history` has the columns of sr/<training>/history.csv. Iterations may continue or restart in each stage.
    """
    iterations = _running(history)
    with new_figure(path, 5.6, 6.6, note) as figure:
        losses, psnr, ssim = figure.subplots(3, 1, sharex=True, height_ratios=(1.7, 1, 1))
        losses.set_title(f"{look.label}: training")
        for column, colour in zip(
            [name for name in map(str, history) if name.startswith(LOSS)], SEQUENCE, strict=False
        ):
            if (history[column] > 0).any():
                values = history[column].where(history[column] > 0)
                label = "generator, total" if column == f"{LOSS}generator" else column[len(LOSS) :].replace("_", " ")
                losses.plot(iterations, values, color=colour, label=label, linewidth=1.5, marker=".")
        losses.set_yscale("log")
        plain_numbers(losses.yaxis)
        losses.set_ylabel("loss (log scale)")
        figure.legend(loc="outside upper left", ncols=3)
        for panel, column, label in ((psnr, "val_psnr", "PSNR, dB"), (ssim, "val_ssim", "SSIM")):
            known = history[column].notna()
            panel.plot(
                iterations[known], history[column][known], color=look.colour, linewidth=1.8, marker="o", markersize=3
            )
            panel.set_ylabel(f"validation\n{label}")
        ssim.set_xlabel("iteration")
        for panel in (losses, psnr, ssim):
            panel.grid(True)
        _stage_borders(losses, (psnr, ssim), history, iterations)


def classifier_curves(path: Path, look: Look, history: pd.DataFrame, note: str) -> None:
    """Training loss and accuracy of one experiment by epoch: a thin line per training, a thick one for their mean.

    A dashed line is the mean on validation images, where there are any. Both means end where the first training stops,
    as later ones would be of fewer runs. `history` has the columns of
    classify/<experiment>/<protocol>/history.csv; accuracy is a fraction, shown in percent.
    """
    with new_figure(path, 5.6, 2.7, note) as figure:
        panels = figure.subplots(1, 2)
        runs = count_runs(history)
        for panel, column, factor, label in zip(
            panels, ("loss", "accuracy"), (1, 100), ("loss", "accuracy, %"), strict=True
        ):
            for _, run in history.groupby([name for name in ("seed", "sr_seed", "fold", "member") if name in history]):
                # a marker, as one epoch makes no line
                panel.plot(run["epoch"], factor * run[column], color=look.colour, linewidth=0.9, marker=".", alpha=0.6)
            mean = factor * _while_all_train(history, column)
            panel.plot(mean.index, mean, color="black", linewidth=1.8, marker=".", label=f"training, mean of {runs}")
            if f"val_{column}" in history:
                seen = factor * _while_all_train(history, f"val_{column}")
                style = {"linestyle": "--", "marker": "o", "markersize": 3.5, "markerfacecolor": "white"}
                panel.plot(seen.index, seen, color="black", linewidth=1.4, label="validation, mean", **style)
            panel.set_xlabel("epoch")
            panel.set_ylabel(label)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            panel.set_xlim(0.5, history["epoch"].max() + 0.5)
            panel.grid(True)
        panels[0].set_title(f"{look.label}: {counted(runs, 'run')}")
        panels[0].legend(loc="upper right")


def _while_all_train(history: pd.DataFrame, column: str) -> pd.Series:
    """The mean of each epoch that every training reached."""
    epochs = history.groupby("epoch")[column]
    return epochs.mean()[epochs.size() == epochs.size().max()]


def _running(history: pd.DataFrame) -> pd.Series:
    """Iterations counted over all stages, also if each stage starts at zero."""
    iterations = history["iteration"].reset_index(drop=True)
    anew = iterations.diff() <= 0
    return iterations + iterations.shift(fill_value=0).where(anew, 0).cumsum()


def _stage_borders(top: Axes, others: tuple[Axes, ...], history: pd.DataFrame, iterations: pd.Series) -> None:
    stages = history["stage"].reset_index(drop=True)
    starts = np.flatnonzero((stages != stages.shift()).to_numpy())
    if len(starts) < 2:
        return
    edges = [0.0, *((iterations[start - 1]) for start in starts[1:]), float(iterations.iloc[-1])]
    for edge in edges[1:-1]:
        for panel in (top, *others):
            panel.axvline(edge, color="#555555", linewidth=1.0, linestyle="--")
    narrow = min(np.diff(edges)) < NARROW * edges[-1]
    for place, (start, left, right) in enumerate(zip(starts, edges[:-1], edges[1:], strict=True)):
        # inside the lowest panel: the losses' own lines are densest in the top one
        others[-1].annotate(
            f"stage “{stages[start]}”",
            ((left + right) / 2, 0.16 if narrow and place % 2 else 0.04),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=8,
            color="#555555",
        )
