"""Scores, and the difference between the protocols."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.score import score_with_interval
from leukosr.evaluate.arms.simulation import Design, draw, one
from leukosr.evaluate.arms.split_effect import split_effect

from .drawn import as_predictions

DESIGN = Design(class_sources=(40, 40), class_images=(160, 160))


def arm(seed: int, design: Design = DESIGN) -> Predictions:
    return as_predictions(one(draw(design, "accuracy", 0, 1, np.random.default_rng(seed)), 0))[0]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_the_score_is_the_mean_over_runs(metric: str) -> None:
    predictions = arm(0)
    runs = [own for _, own in predictions.table.groupby("seed")]
    if metric == "accuracy":
        expected = np.mean([accuracy_score(own["true"], own["predicted"]) for own in runs])
    else:
        expected = np.mean([f1_score(own["true"], own["predicted"], average="macro") for own in runs])
    score = score_with_interval(predictions, metric)  # type: ignore[arg-type]
    assert score.value == pytest.approx(expected)
    assert score.ci_low is not None and score.ci_high is not None
    assert 0 <= score.ci_low < score.value < score.ci_high <= 1


def test_equal_protocols_show_no_effect_and_the_sign_is_that_of_paper() -> None:
    own = arm(2)
    for effect in split_effect(own, own):
        assert effect.difference.value == 0
        assert effect.difference.ci_low is not None and effect.difference.ci_high is not None
        assert effect.difference.ci_low < 0 < effect.difference.ci_high
    wrong = own.table.assign(predicted=own.table["true"].map({"c0": "c1", "c1": "c0"}))
    worst = Predictions("raw", wrong, own.classes)
    best = Predictions("raw", own.table.assign(predicted=own.table["true"]), own.classes)
    (accuracy, _) = split_effect(best, worst)
    assert accuracy.difference.value == 1


@pytest.mark.slow
def test_intervals_of_the_difference_cover_no_effect_as_often_as_they_say() -> None:
    inside = 0
    for seed in range(100):
        effect = split_effect(arm(1000 + seed), arm(5000 + seed))[0].difference
        assert effect.ci_low is not None and effect.ci_high is not None
        inside += effect.ci_low <= 0 <= effect.ci_high
    assert inside >= 90


def test_the_difference_is_as_unsure_as_both_scores_on_the_side_that_each_moves_it() -> None:
    """A perfect arm has no margin above and a lot below, so the two sides cannot be mistaken for each other."""
    own = arm(2)
    perfect = Predictions("raw", own.table.assign(predicted=own.table["true"]), own.classes)
    for effect in split_effect(perfect, own):
        mixed, disjoint, found = effect.mixed, effect.disjoint, effect.difference
        assert mixed.ci_high == 1 and mixed.ci_low is not None
        assert disjoint.ci_low is not None and disjoint.ci_high is not None
        assert found.ci_high == pytest.approx(found.value + (disjoint.value - disjoint.ci_low))
        down = np.hypot(1 - mixed.ci_low, disjoint.ci_high - disjoint.value)
        assert found.ci_low == pytest.approx(found.value - down)
        assert abs((disjoint.value - disjoint.ci_low) / (disjoint.ci_high - disjoint.value) - 1) > 1e-3
