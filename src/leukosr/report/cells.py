"""Cell by cell on the report page: who helps and harms which cells, whose labels flip, whose probabilities hold."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from textwrap import fill

import numpy as np

from leukosr.evaluate.arms.cells import Change, help_and_harm, label_flips, runs_in_common
from leukosr.evaluate.arms.reliability import COVERAGES, Reliability, reliability
from leukosr.evaluate.estimate import says_nothing
from leukosr.report.block import Block, TableOfBlock, percent_with_interval
from leukosr.report.results import StudyResults
from leukosr.report.style import Look, new_figure
from leukosr.report.tables import UNDEFINED, mean_sd, number, percent

HELPED, HARMED = "#009E73", "#D55E00"
WITHOUT = "Without brackets there is no interval: two runs, or images of one source, give none."
FEW_SOURCES = 100
TITLE_WIDTH = 44  # characters of a line above a figure
FEW = (
    f"With fewer than {FEW_SOURCES} sources the upper ends are too low where the cells of a source share their fate: "
    "of simulated intervals with 14 to 68 sources, of shares of 2 to 11 %, 69 to 94 % held the truth."
)


def help_block(folder: Path, results: StudyResults, pairs: Sequence[tuple[str, str]], suffix: str, note: str) -> Block:
    """Cells that the first experiment of each pair corrects and breaks against the second; draws a figure a pair."""
    sentences, tables, pictures, drawn = [], [], {}, []
    for a, b in pairs:
        first, second = (results.experiments[name] for name in (a, b))
        whole, *parts = help_and_harm(first.predictions, second.predictions, results.classes)
        one, other = first.look.label, second.look.label
        drawn.append(whole.helped.ci_low is not None)
        sentences.append(
            f"Against {other}, {one} corrects {percent_with_interval(whole.helped)} % of all test cells and breaks "
            f"{percent_with_interval(whole.harmed)} %."
        )
        if not parts:
            continue
        name = f"cells_{a}_{b}{suffix}"
        _changes_figure(folder / f"{name}.png", parts, (one, other), note)
        pictures[name] = f"{one} against {other}: cells corrected and broken by class pair, % of all test cells."
        rows = [
            [f"{each.true} / {each.mistaken}", percent_with_interval(each.helped), percent_with_interval(each.harmed)]
            for each in parts
        ]
        head = ("true class / mistaken for", "corrected, %", "broken, %")
        interval = " (95 % interval)" if drawn[-1] else ""
        tables.append(TableOfBlock(f"{one} against {other}, % of all test cells{interval}", head, rows))
    sentences += [_intervals(results, pairs)] * any(drawn) + [WITHOUT] * (not all(drawn))
    counts = [results.experiments[name].scores.n_test_sources for name, _ in pairs]
    if any(drawn) and any(count is not None and count < FEW_SOURCES for count in counts):
        sentences.append(FEW)
    return Block("Cells helped and harmed", [*sentences, *_flip_sentences(results)], tables, pictures)


def _intervals(results: StudyResults, pairs: Sequence[tuple[str, str]]) -> str:
    """What the brackets are, which depends on how many runs there are and whether sources are known."""
    tables = [results.experiments[name].predictions for name in dict.fromkeys(chain.from_iterable(pairs))]
    single = [runs_in_common(*(results.experiments[name].predictions for name in pair)) == 1 for pair in pairs]
    over = "sources, of one run" if all(single) else "runs and sources"
    alone = "; those of a single run are over its sources alone" if any(single) and not all(single) else ""
    words = f"In brackets are 95 % intervals over {over}{alone}"
    if all("source" in each and (each["source"] != "").all() for each in tables):
        return f"{words}."
    return f"{words}. An image whose source is not known counts as one of its own, so they may be too narrow."


def _flip_sentences(results: StudyResults) -> list[str]:
    sentences = []
    for each in results.experiments.values():
        flips = label_flips(each.predictions)
        kinds = ((flips.sr_seeds, "two SR networks"), (flips.seeds, "two seeds of the classifier"))
        shown = [f"{what} in {100 * share:.1f} %" for share, what in kinds if share is not None]
        if shown:
            sentences.append(
                f"{each.look.label}: the label of a cell differs between {', between '.join(shown)} of cases."
            )
    return sentences


def _changes_figure(path: Path, changes: Sequence[Change], names: tuple[str, str], note: str) -> None:
    """Cells broken to the left, corrected to the right, a row a pair of classes; lines are 95 % intervals."""
    lines = False
    with new_figure(path, 6.4, 0.34 * len(changes) + 1.6, note) as figure:
        panel = figure.subplots()
        for place, change in enumerate(changes):
            for share, side, colour, word in (
                (change.harmed, -1, HARMED, "broken"),
                (change.helped, 1, HELPED, "corrected"),
            ):
                label = word if place == 0 else None
                panel.barh(place, side * 100 * share.value, color=colour, height=0.6, label=label)
                low, high = share.ci_low, share.ci_high
                if low is not None and high is not None and not says_nothing(low, high, 1):
                    lines = True
                    panel.hlines(place, side * 100 * low, side * 100 * high, color="black", linewidth=1.2)
        panel.axvline(0, color="black", linewidth=0.8)
        panel.set_yticks(range(len(changes)), [f"{each.true} / {each.mistaken}" for each in changes])
        panel.set_ylim(len(changes) - 0.5, -0.5)
        panel.tick_params(axis="y", length=0)
        panel.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        panel.grid(True, axis="x")
        panel.set_xlabel(f"% of all test cells{' (lines: 95 % intervals)' if lines else ''}")
        panel.set_ylabel("true class / mistaken for")
        panel.set_title(fill(f"{names[0]} against {names[1]}", TITLE_WIDTH, break_on_hyphens=False))
        figure.legend(loc="outside upper left", ncols=2)


def reliability_block(folder: Path, results: StudyResults, bins: int, suffix: str, note: str) -> Block:
    """Calibration and risk-coverage of every experiment, with one figure of both."""
    found = [(each.look, reliability(each.predictions, results.classes, bins)) for each in results.experiments.values()]
    name = f"reliability{suffix}"
    _reliability_figure(folder / f"{name}.png", found, note)
    rows = [
        [
            look.label,
            mean_sd(percent(each.ece[0]), percent(each.ece[1])),
            mean_sd(*each.brier, 3),
            mean_sd(percent(each.aurc[0]), percent(each.aurc[1])),
            number(percent(float(np.interp(0.8, COVERAGES, each.risk))), 1),
        ]
        for look, each in found
    ]
    head = ("experiment", "ECE, %", "Brier score", "mean risk, %", "risk at 80 % coverage, %")
    table = TableOfBlock("Calibration and risk-coverage, mean ± sd over runs", head, rows)
    words = (
        f"ECE: how far the stated confidence lies from the share right, {bins} bins, run by run (few test images raise "
        "it); Brier score: squared error of the probabilities, from 0 to 2; mean risk: the error among the surest "
        f"cells, averaged over all coverages (AURC). “{UNDEFINED}” is undefined."
    )
    caption = (
        "Left: share right by stated confidence, all runs together (on the dotted line a classifier is calibrated; "
        "larger dots hold more cells). Right: the error when only the surest cells are answered."
    )
    return Block("Can the probabilities be trusted", [words], [table], {name: caption})


def _reliability_figure(path: Path, found: Sequence[tuple[Look, Reliability]], note: str) -> None:
    with new_figure(path, 8.4, 4.0, note) as figure:
        left, right = figure.subplots(1, 2)
        left.plot([0, 100], [0, 100], color="#555555", linestyle=":", linewidth=1.3)
        for look, each in found:
            seen = each.share > 0
            x, y = 100 * each.confidence[seen], 100 * each.accuracy[seen]
            left.plot(x, y, color=look.colour, linewidth=1.3)
            left.scatter(x, y, s=10 + 160 * each.share[seen], color=look.colour, alpha=0.75)
            right.plot(100 * COVERAGES, 100 * each.risk, color=look.colour, linewidth=1.8, label=look.label)
        left.set(xlabel="stated confidence, %", ylabel="right, %", xlim=(0, 102), ylim=(0, 102), title="calibration")
        right.set(xlabel="coverage, % of cells answered", ylabel="risk, % wrong", xlim=(0, 102), title="risk-coverage")
        right.set_ylim(bottom=0)
        for panel in (left, right):
            panel.grid(True)
        figure.legend(loc="outside upper left", ncols=3)
