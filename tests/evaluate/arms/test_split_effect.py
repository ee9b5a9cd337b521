"""Scores with intervals, and the difference between the protocols."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.significance import wilson
from leukosr.evaluate.arms.simulation import Design, as_predictions, draw
from leukosr.evaluate.arms.split_effect import score_with_interval, split_effect

DESIGN = Design(class_sources=(40, 40), class_images=160)


def arm(seed: int, design: Design = DESIGN) -> Predictions:
    return as_predictions(draw(design, np.random.default_rng(seed)), len(design.class_sources))[0]


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


def test_one_image_a_source_and_one_run_give_about_the_wilson_interval() -> None:
    design = Design(class_sources=(150, 150), class_images=150, runs=1)
    score = score_with_interval(arm(1, design), "accuracy")
    low, high = wilson(300 * score.value, 300)
    assert (score.ci_low, score.ci_high) == pytest.approx((low, high), abs=0.015)


def test_equal_protocols_show_no_effect_and_the_sign_is_that_of_paper() -> None:
    one = arm(2)
    for effect in split_effect(one, one):
        assert effect.difference.value == 0
        assert effect.difference.ci_low is not None and effect.difference.ci_high is not None
        assert effect.difference.ci_low < 0 < effect.difference.ci_high
    wrong = one.table.assign(predicted=one.table["true"].map({"c0": "c1", "c1": "c0"}))
    worst = Predictions("raw", wrong, one.classes)
    best = Predictions("raw", one.table.assign(predicted=one.table["true"]), one.classes)
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
