"""Confusion matrices that a paper printed, and what follows from them, beside this study's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leukosr.config import Params
from leukosr.evaluate.arms.pairs import pair
from leukosr.evaluate.arms.significance import compare
from leukosr.quoting import decimal
from leukosr.report.block import Block, TableOfBlock
from leukosr.report.comparisons import difference_text, has_interval, images_text
from leukosr.report.published import OURS, PRINTED, PublishedConfusions, published_confusions
from leukosr.report.results import StudyResults
from leukosr.report.style import Look, new_figure
from leukosr.report.tables import number
from leukosr.report.verdicts import predictions_of

SCORES = ("precision", "recall", "F1")


@dataclass(frozen=True)
class ClassTable:
    """What follows from a confusion matrix (classes, classes), rows true: fractions by class, NaN where undefined."""

    counts: np.ndarray

    @property
    def accuracy(self) -> float:
        """Share of all images that are named rightly."""
        return float(np.trace(self.counts) / self.counts.sum())

    @property
    def scores(self) -> np.ndarray:
        """Precision, recall and F1 of every class, (classes, 3)."""
        right = np.diag(self.counts).astype(float)
        with np.errstate(invalid="ignore"):
            precision, recall = right / self.counts.sum(0), right / self.counts.sum(1)
            f1 = 2 * right / (self.counts.sum(0) + self.counts.sum(1))
        return np.stack([precision, recall, f1], axis=1)

    @property
    def shares(self) -> np.ndarray:
        """The counts as fractions of their row."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.counts / self.counts.sum(1, keepdims=True))


Tables = Mapping[str, ClassTable]  # by experiment


def confusion_blocks(folder: Path, params: Params, results: StudyResults, suffix: str, note: str) -> list[Block]:
    """The printed tables beside ours under one protocol, and a figure; empty where nothing was printed or run."""
    printed = published_confusions(params.study.published)
    if printed is None or not set(printed.counts) <= set(results.experiments):
        return []
    title = "Printed confusion matrices beside ours"
    names = {name.lower(): name for name in results.classes}
    if sorted(names) != sorted(printed.classes):
        words = f"{printed.source} has the classes {', '.join(printed.classes)}; this study has others."
        return [Block(title, [words])]
    theirs = {name: ClassTable(counts) for name, counts in printed.counts.items()}
    classes = [names[name] for name in printed.classes]
    ours = {name: ClassTable(pooled_confusion(results.experiments[name].predictions, classes)) for name in theirs}
    looks = {name: results.experiments[name].look for name in theirs}
    figure = f"printed_scores{suffix}"
    _scores_figure(folder / f"{figure}.png", printed.classes, looks, (theirs, ours), note)
    caption = f"Precision, recall and F1 by class: {printed.source} (pale) and this study (full), all runs pooled."
    tables = [_score_table(printed, looks, theirs, ours), _confusion_table(printed, looks, theirs, ours)]
    sentences = [_printed_sentence(printed, looks, theirs), _our_sentence(params, results, printed), *printed.facts]
    return [Block(title, sentences, tables, {figure: caption})]


def pooled_confusion(predictions: pd.DataFrame, classes: list[str]) -> np.ndarray:
    """Counts over all runs, (classes, classes), rows true."""
    found = pd.crosstab(predictions["true"], predictions["predicted"])
    return found.reindex(index=classes, columns=classes, fill_value=0).to_numpy()


def unpaired_interval(first: ClassTable, second: ClassTable) -> tuple[float, float, float]:
    """Difference of two accuracies, first less second, with the 95 % interval (Wald) that independent images would
    give."""
    difference = first.accuracy - second.accuracy
    variance = sum(each.accuracy * (1 - each.accuracy) / each.counts.sum() for each in (first, second))
    reach = 1.959964 * float(np.sqrt(variance))
    return difference, difference - reach, difference + reach


def _printed_sentence(printed: PublishedConfusions, looks: Mapping[str, Look], theirs: Tables) -> str:
    base, changed = theirs
    shown = ", ".join(
        f"{looks[name].label} {100 * each.accuracy:.2f} % ({np.trace(each.counts)} of {each.counts.sum()} images)"
        for name, each in theirs.items()
    )
    points = [decimal(100 * each, 2, "+") for each in unpaired_interval(theirs[changed], theirs[base])]
    return (
        f"{printed.source}: accuracy {shown}; {points[0]} points. Independent images would give an unpaired 95 % "
        f"interval of {points[1]} … {points[2]}, but these are copies of few micrographs, and no run was repeated."
    )


def _our_sentence(params: Params, results: StudyResults, printed: PublishedConfusions) -> str:
    base, changed = printed.counts
    both = pair(predictions_of(results, changed), predictions_of(results, base))
    found = next(each for each in compare([both], "accuracy", params.study.margin) if each.primary)
    names = f"{results.experiments[changed].look.label} – {results.experiments[base].look.label}"
    level = ", 95 % over runs and sources" if has_interval(found) else ""
    return (
        f"Here, under {results.protocol}: {names} {difference_text(found, ' points of accuracy', level)}, "
        f"{found.runs} runs, {images_text(found)}: {found.verdict}, taken by itself."
    )


def _score_table(
    printed: PublishedConfusions,
    looks: Mapping[str, Look],
    theirs: Tables,
    ours: Tables,
) -> TableOfBlock:
    head = ["experiment", "class"]
    head += [f"{what}, {whose}" for whose in (PRINTED, OURS) for what in (*(f"{name}, %" for name in SCORES), "images")]
    rows = []
    for name, look in looks.items():
        for place, label in enumerate(printed.classes):
            cells = [look.label, label]
            for table in (theirs[name], ours[name]):
                cells += [*(number(100 * score, 1) for score in table.scores[place]), str(table.counts[place].sum())]
            rows.append(cells)
    label = "Tables 3 and 4: scores by class; ours with the images of all runs"
    return TableOfBlock(label, head, rows, 2)


def _confusion_table(
    printed: PublishedConfusions,
    looks: Mapping[str, Look],
    theirs: Tables,
    ours: Tables,
) -> TableOfBlock:
    rows = []
    for name, look in looks.items():
        for place, label in enumerate(printed.classes):
            shares = zip(theirs[name].counts[place], theirs[name].shares[place], ours[name].shares[place], strict=True)
            cells = [f"{count} ({number(100 * one, 1)} %) | {number(100 * two, 1)} %" for count, one, two in shares]
            rows.append([look.label, label, *cells])
    head = ["experiment", "true class", *(f"as {name}" for name in printed.classes)]
    return TableOfBlock("Tables 5 and 6: printed counts (share of the true class) | our share", head, rows, 2)


def _scores_figure(
    path: Path,
    classes: tuple[str, ...],
    looks: Mapping[str, Look],
    tables: tuple[Tables, Tables],
    note: str,
) -> None:
    """A panel for each score, a group of bars for each class: each experiment as printed and as found here."""
    bars = [(name, whose, table[name]) for name in looks for whose, table in zip((PRINTED, OURS), tables, strict=True)]
    thick = 0.8 / len(bars)
    with new_figure(path, 9.0, 3.6, note) as figure:
        for column, (panel, score) in enumerate(zip(figure.subplots(1, 3, sharey=True), SCORES, strict=True)):
            for place, (name, whose, table) in enumerate(bars):
                places = np.arange(len(classes)) + (place - (len(bars) - 1) / 2) * thick
                label = f"{looks[name].label}, {whose}" if column == 0 else None
                pale = 0.45 if whose == PRINTED else 1.0
                panel.bar(
                    places,
                    100 * table.scores[:, column],
                    thick * 0.92,
                    color=looks[name].colour,
                    alpha=pale,
                    label=label,
                )
            panel.set_xticks(range(len(classes)), classes, rotation=30, ha="right", rotation_mode="anchor")
            panel.tick_params(axis="x", length=0)
            panel.grid(True, axis="y")
            panel.set_title(score)
        figure.axes[0].set_ylabel("%")
        figure.legend(loc="outside upper left", ncols=len(bars))
