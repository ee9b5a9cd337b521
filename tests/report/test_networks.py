"""Scores that a paper printed by network stand above ours, and what is said of them follows from its own counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from leukosr.config import Params
from leukosr.layout import Layout
from leukosr.report import networks
from leukosr.report.networks import loss_in_test, network_blocks
from leukosr.report.published import (
    PublishedNetwork,
    PublishedNetworks,
    published_facts,
    published_networks,
)
from leukosr.report.results import StudyResults, load_results

PRINTED = PublishedNetwork((90.0, 80.0, 70.0), (0.1, 0.2, 0.3))


@pytest.fixture
def results(params: Params, outputs: Path) -> StudyResults:
    return load_results(Layout("demo", outputs), params, "paper")


def of_networks(*names: str, of: str = "raw") -> PublishedNetworks:
    classes = {"eosinophil": (0.5, 0.25, 1 / 3, 7), "basophil": (1.0, 1.0, 1.0, 5)}
    return PublishedNetworks("A paper", dict.fromkeys(names, PRINTED), of, classes, ("A fact.",))


def test_what_is_said_of_the_tested_images_follows_from_the_printed_counts() -> None:
    found, folders = published_networks("srgan_vgg19"), published_facts()["srgan_vgg19"]["folders"]
    assert found is not None
    supports = {name: row[3] for name, row in found.per_class.items()}
    tested = dict(zip(folders["classes"], folders["tested"], strict=True))
    lost = dict(zip(folders["classes"], folders["without_cell"], strict=True))
    assert supports == {name: tested[name] - lost[name] for name in supports}
    assert (sum(tested.values()), sum(lost.values()), sum(supports.values())) == (2558, 61, 2497)
    assert "2,558 images, less 61 " in found.facts[1] and found.facts[1].endswith("2,497.")


def test_the_printed_scores_by_class_follow_from_each_other() -> None:
    found = published_networks("srgan_vgg19")
    assert found is not None
    rows = np.array(list(found.per_class.values()))
    precision, recall, f1, support = rows.T
    # printed to two digits, so each may be half a hundredth off
    assert np.abs(2 * precision * recall / (precision + recall) - f1).max() < 0.0101
    accuracy = 100 * (recall * support).sum() / support.sum()
    assert abs(accuracy - found.networks[found.per_class_of].accuracy[2]) < 0.5


def test_the_rows_of_a_network_stand_under_the_printed_ones(
    results: StudyResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "published_networks", lambda key: of_networks("raw", "vgg19"))
    (block,) = network_blocks("any", results)
    by_network, by_class = block.tables
    ours = results.experiments["raw"]
    label, scores = ours.look.label, ours.scores.per_class["eosinophil"]
    assert [row[:2] for row in by_network.rows] == [[label, "printed"], [label, "this study"], ["vgg19", "printed"]]
    assert by_network.rows[0][2:] == ["90.00", "80.00", "70.00", "0.1000", "0.2000", "0.3000"]
    assert by_network.rows[1][4].startswith(f"{100 * (ours.scores.accuracy or 0):.2f} ± ")
    assert by_network.rows[1][7] == f"{loss_in_test(ours.predictions):.4f}"
    assert by_class.rows[0] == ["eosinophil", "printed", "50", "25", "33", "7"]
    assert by_class.rows[1][:2] == ["eosinophil", "this study"]
    assert by_class.rows[1][-1] == str(scores.support)
    assert by_class.rows[2:] == [["basophil", "printed", "100", "100", "100", "5"]], "a class that is not here"
    assert block.sentences[-1] == "A fact."


def test_a_training_that_stopped_early_counts_with_its_own_last_epoch(
    results: StudyResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = pd.DataFrame({"seed": [1, 1, 2], "epoch": [1, 2, 1], "loss": [9.0, 0.25, 0.75], "accuracy": [0, 0.5, 1]})
    raw = replace(results.experiments["raw"], history=history)
    monkeypatch.setattr(networks, "published_networks", lambda key: of_networks("raw", of="none"))
    (block,) = network_blocks("any", replace(results, experiments={"raw": raw}))
    (table,) = block.tables
    assert table.rows[1][2:4] == ["75.00", "–"] and table.rows[1][5:7] == ["0.5000", "–"]


@pytest.mark.parametrize("key", [None, "case1", "srgan_vgg19"])
def test_studies_without_such_networks_have_no_block(key: str | None, results: StudyResults) -> None:
    assert network_blocks(key, results) == []


def test_the_loss_in_the_test_is_the_cross_entropy() -> None:
    table = pd.DataFrame({"true": ["a", "b", "b"], "p_a": [0.9, 0.5, 0.2], "p_b": [0.1, 0.5, 0.8]})
    expected = log_loss(table["true"], table[["p_a", "p_b"]], labels=["a", "b"])
    assert loss_in_test(table) == pytest.approx(expected)
