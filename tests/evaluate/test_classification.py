from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from leukosr.evaluate.classification import ClassFigures, confusion, mean_and_sd, score

CLASSES = ("basophil", "eosinophil", "neutrophil")
LABELS = st.sampled_from(CLASSES)
RUNS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(RUNS)
def test_figures_equal_those_of_scikit_learn(run: list[tuple[str, str]]) -> None:
    true, predicted = [list(column) for column in zip(*run, strict=True)]
    found = score(true, predicted, CLASSES)
    assert found.accuracy == accuracy_score(true, predicted)
    for name, function in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        expected = function(true, predicted, average="macro", labels=sorted(set(true)), zero_division=0.0)
        assert getattr(found, f"macro_{name}") == pytest.approx(expected, abs=1e-15)
        by_class = function(true, predicted, average=None, labels=list(CLASSES), zero_division=0.0)
        assert [getattr(found.per_class[label], name) for label in CLASSES] == by_class.tolist()
    assert found.f1_of_means >= found.macro_f1 - 1e-12
    assert [found.per_class[label].support for label in CLASSES] == [true.count(label) for label in CLASSES]
    assert confusion(true, predicted, CLASSES).tolist() == confusion_matrix(true, predicted, labels=CLASSES).tolist()


def test_a_run_counted_by_hand() -> None:
    true = ["basophil", "basophil", "eosinophil", "neutrophil"]
    predicted = ["basophil", "eosinophil", "eosinophil", "neutrophil"]
    found = score(true, predicted, CLASSES)
    assert found.accuracy == 0.75
    assert astuple(found.per_class["basophil"]) == pytest.approx((1.0, 0.5, 2 / 3, 2))
    assert astuple(found.per_class["eosinophil"]) == pytest.approx((0.5, 1.0, 2 / 3, 1))
    assert found.macro_recall == found.macro_precision == found.f1_of_means == pytest.approx(2.5 / 3)
    assert found.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert confusion(true, predicted, CLASSES).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_a_class_that_is_never_predicted_has_precision_zero_and_counts(recwarn: pytest.WarningsRecorder) -> None:
    found = score(["basophil", "eosinophil"], ["basophil", "basophil"], CLASSES[:2])
    assert found.per_class["eosinophil"] == ClassFigures(0.0, 0.0, 0.0, 1)
    assert (found.macro_precision, found.macro_recall) == (0.25, 0.5)
    assert found.f1_of_means == pytest.approx(1 / 3)
    assert len(recwarn) == 0


def test_a_class_without_test_images_has_figures_of_zero_and_does_not_count(recwarn: pytest.WarningsRecorder) -> None:
    found = score(["basophil"], ["basophil"], CLASSES)
    assert found.per_class["neutrophil"] == ClassFigures(0.0, 0.0, 0.0, 0)
    assert (found.macro_precision, found.macro_recall, found.macro_f1) == (1.0, 1.0, 1.0)
    assert len(recwarn) == 0


def test_the_order_of_the_classes_orders_the_confusion_and_changes_no_figure() -> None:
    true, predicted = ["basophil", "eosinophil", "eosinophil"], ["eosinophil", "eosinophil", "basophil"]
    turned = CLASSES[::-1]
    assert confusion(true, predicted, turned).tolist() == confusion(true, predicted, CLASSES)[::-1, ::-1].tolist()
    assert score(true, predicted, turned).macro_f1 == pytest.approx(score(true, predicted, CLASSES).macro_f1)


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(ValueError, match="no predictions to score"):
        score([], [], CLASSES)


def test_one_run_has_no_standard_deviation() -> None:
    assert mean_and_sd([0.625]) == (0.625, None)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_the_standard_deviation_is_that_of_a_sample(values: list[float]) -> None:
    mean, sd = mean_and_sd(values)
    assert mean == pytest.approx(sum(values) / len(values))
    assert sd == pytest.approx(float(np.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))), abs=1e-12)
