"""Confusion matrices that a paper printed stand beside ours, and what is said of them follows from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukosr.config import Params
from leukosr.layout import Layout
from leukosr.report import confusions
from leukosr.report.confusions import ClassTable, confusion_blocks, pooled_confusion, unpaired_interval
from leukosr.report.published import PublishedConfusions, published_confusions, published_facts
from leukosr.report.results import StudyResults, load_results

ORIGINAL, ENHANCED = "original", "realesrgan_x4plus_originals"
PRINTED = {  # tables 3 and 4: precision, recall, F1, support
    ORIGINAL: [(0.84, 0.90, 0.87, 499), (0.97, 0.97, 0.97, 496), (0.98, 0.97, 0.97, 495), (0.89, 0.84, 0.86, 499)],
    ENHANCED: [(0.82, 0.85, 0.83, 499), (0.96, 0.94, 0.95, 496), (0.93, 0.99, 0.96, 495), (0.87, 0.80, 0.83, 499)],
}


@pytest.fixture(scope="session")
def enhancement() -> PublishedConfusions:
    found = published_confusions("enhancement")
    assert found is not None
    return found


@pytest.mark.parametrize("name", [ORIGINAL, ENHANCED])
def test_the_printed_tables_follow_from_the_printed_matrices(enhancement: PublishedConfusions, name: str) -> None:
    found = ClassTable(enhancement.counts[name])
    for scores, row, counts in zip(found.scores, PRINTED[name], found.counts, strict=True):
        assert tuple(np.round(scores, 2)) == row[:3]
        assert counts.sum() == row[3]


def test_the_printed_loss_is_that_of_the_matrices(enhancement: PublishedConfusions) -> None:
    original, enhanced = (ClassTable(enhancement.counts[name]) for name in (ORIGINAL, ENHANCED))
    assert (np.trace(original.counts), np.trace(enhanced.counts), original.counts.sum()) == (1825, 1777, 1989)
    difference, low, high = unpaired_interval(enhanced, original)
    assert round(100 * difference, 2) == -2.41
    assert (round(100 * low, 1), round(100 * high, 1)) == (-4.2, -0.6)
    assert published_facts()["enhancement"]["accuracy"] == {"original": 92, "enhanced": 89}


def test_the_printed_test_images_are_a_fifth_of_each_class(enhancement: PublishedConfusions) -> None:
    train = {"eosinophil": 2497, "lymphocyte": 2483, "monocyte": 2478, "neutrophil": 2499}
    supports = enhancement.counts[ORIGINAL].sum(1).tolist()
    assert supports == [int(0.2 * train[name]) for name in enhancement.classes]
    said = enhancement.facts[0]
    assert [count for count in supports if str(count) not in said] == []


def test_a_row_of_the_pooled_matrix_is_a_true_class() -> None:
    said = pd.DataFrame({"true": ["a", "a", "a", "b"], "predicted": ["a", "b", "b", "b"]})
    assert pooled_confusion(said, ["b", "a"]).tolist() == [[1, 0], [2, 1]]


def of_two_classes(*classes: str) -> PublishedConfusions:
    counts = {"raw": np.array([[9, 1], [2, 8]]), "bicubic": np.array([[8, 2], [2, 8]])}
    return PublishedConfusions("A paper", classes, counts, ("A fact.",))


@pytest.fixture
def results(params: Params, outputs: Path) -> StudyResults:
    return load_results(Layout("demo", outputs), params, "paper")


def test_the_block_shows_printed_and_own_figures(
    params: Params, results: StudyResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confusions, "published_confusions", lambda key: of_two_classes("neutrophil", "eosinophil"))
    (block,) = confusion_blocks(tmp_path, params, results, "", "smoke")
    assert "raw LR 85.00 % (17 of 20 images), bicubic 80.00 % (16 of 20 images); −5.00 points" in block.sentences[0]
    assert block.sentences[1].startswith("Here, under paper: bicubic – raw LR ")
    assert block.sentences[-1] == "A fact."
    scores, matrix = block.tables
    own = ClassTable(pooled_confusion(results.experiments["raw"].predictions, ["neutrophil", "eosinophil"]))
    assert scores.rows[0][:2] == ["raw LR", "neutrophil"]
    assert scores.rows[0][3] == "90.0", "the printed recall"
    assert scores.rows[0][-1] == str(own.counts[0].sum()) == "2", "a test image of the class, two runs"
    assert matrix.rows[0][2] == f"9 (90.0 %) | {100 * own.shares[0, 0]:.1f} %"
    assert [(tmp_path / f"{name}.png").is_file() for name in block.pictures] == [True]


def test_other_classes_are_not_compared(
    params: Params, results: StudyResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confusions, "published_confusions", lambda key: of_two_classes("basophil", "eosinophil"))
    (block,) = confusion_blocks(tmp_path, params, results, "", "smoke")
    assert block.sentences == ["A paper has the classes basophil, eosinophil; this study has others."]


def test_studies_without_printed_matrices_have_no_block(params: Params, results: StudyResults, tmp_path: Path) -> None:
    assert confusion_blocks(tmp_path, params, results, "", "smoke") == []
