"""Scores that a paper printed for several classification networks, beside this study's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from leukosr.report.block import Block, TableOfBlock
from leukosr.report.published import OURS, PRINTED, PublishedNetworks, published_networks
from leukosr.report.results import ExperimentResults, StudyResults
from leukosr.report.tables import mean_sd, number, percent

PARTS = ("training", "validation", "test")


def network_blocks(study: str | None, results: StudyResults) -> list[Block]:
    """The tables that the published `study` printed by network and by class, each row above this study's own.

    Empty where it printed none, or none of its networks is an experiment here.
    """
    printed = published_networks(study)
    if printed is None or not set(printed.networks) & set(results.experiments):
        return []
    sentences = [
        f"{printed.source}; the row below each is this study's, under {results.protocol}, a mean over runs. Images, "
        "weights and steps differ, so the printed figures are no yardstick.",
        *printed.facts,
    ]
    tables = [_network_table(printed, results)]
    if printed.per_class_of in results.experiments:
        tables.append(_class_table(printed, results.experiments[printed.per_class_of], results.classes))
    return [Block("Printed scores of networks beside ours", sentences, tables)]


def loss_in_test(predictions: pd.DataFrame) -> float:
    """Mean −ln of the probability that the true class was given, over images and runs, as a loss in training is."""
    places = predictions.columns.get_indexer(pd.Index("p_" + predictions["true"]))
    given = predictions.to_numpy()[np.arange(len(predictions)), places].astype(float)
    return float(-np.log(np.maximum(given, np.finfo(np.float32).tiny)).mean())


def _network_table(printed: PublishedNetworks, results: StudyResults) -> TableOfBlock:
    rows = []
    for name, theirs in printed.networks.items():
        shown = [number(each, 2) for each in theirs.accuracy], [number(each, 4) for each in theirs.loss]
        if name in results.experiments:
            ours = results.experiments[name]
            rows += [[ours.look.label, PRINTED, *shown[0], *shown[1]], [ours.look.label, OURS, *_own_scores(ours)]]
        else:
            rows.append([name, PRINTED, *shown[0], *shown[1]])
    head = ["network", "whose", *(f"{part} accuracy, %" for part in PARTS), *(f"{part} loss" for part in PARTS)]
    return TableOfBlock(
        "Table 6: accuracy and loss by network; ours in training and validation of each last epoch", head, rows, 2
    )


def _own_scores(ours: ExperimentResults) -> Sequence[str]:
    trainings = [name for name in ("seed", "sr_seed", "fold", "member") if name in ours.history]
    last = ours.history.sort_values("epoch").groupby(trainings).tail(1).mean(numeric_only=True)
    accuracy = [number(percent(last.get(name, np.nan)), 2) for name in ("accuracy", "val_accuracy")]
    tested = mean_sd(percent(ours.scores.accuracy), percent(ours.scores.accuracy_sd), 2)
    loss = [number(last.get(name, np.nan), 4) for name in ("loss", "val_loss")]
    return [*accuracy, tested, *loss, number(loss_in_test(ours.predictions), 4)]


def _class_table(printed: PublishedNetworks, ours: ExperimentResults, classes: Sequence[str]) -> TableOfBlock:
    own = {name.lower(): ours.scores.per_class[name] for name in classes}
    rows = []
    for name, (precision, recall, f1, support) in printed.per_class.items():
        rows.append([name, PRINTED, *(number(100 * each, 0) for each in (precision, recall, f1)), str(support)])
        if name in own:
            scores = [number(percent(each), 1) for each in (own[name].precision, own[name].recall, own[name].f1)]
            rows.append([name, OURS, *scores, str(own[name].support)])
    head = ["class", "whose", "precision, %", "recall, %", "F1, %", "images"]
    return TableOfBlock(f"Table 5: scores by class of {ours.look.label}", head, rows, 2)
