"""What the split alone does: the scores of one arm under two protocols, one of which keeps sources apart."""

from __future__ import annotations

from dataclasses import dataclass

from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.score import score_with_interval
from leukosr.evaluate.arms.two_way import METRICS, Metric
from leukosr.evaluate.estimate import TOO_FEW, Estimate


@dataclass(frozen=True)
class SplitEffect:
    """One arm by one metric under both protocols. `difference` is mixed - disjoint.

    Two runs give no intervals. That of the difference takes the two test sets for independent; where they share sources
    it is too wide, never too narrow, as the same sources move both scores the same way.
    """

    arm: str
    metric: Metric
    mixed: Estimate
    disjoint: Estimate
    difference: Estimate


def split_effect(mixed: Predictions, disjoint: Predictions) -> list[SplitEffect]:
    """How much higher an arm scores where copies of its test images were trained on; by both metrics."""
    effects = []
    for metric in METRICS:
        first, second = _score(mixed, metric), _score(disjoint, metric)
        effects.append(SplitEffect(mixed.name, metric, first, second, _difference(first, second)))
    return effects


def _score(predictions: Predictions, metric: Metric) -> Estimate:
    found = score_with_interval(predictions, metric)
    return Estimate(found.value, None, None) if predictions.runs == TOO_FEW else found


def _difference(first: Estimate, second: Estimate) -> Estimate:
    centre = first.value - second.value
    if first.ci_low is None or first.ci_high is None or second.ci_low is None or second.ci_high is None:
        return Estimate(centre, None, None)
    # the bounds are clipped to [0, 1], so each side has its own margin
    down = ((first.value - first.ci_low) ** 2 + (second.ci_high - second.value) ** 2) ** 0.5
    up = ((first.ci_high - first.value) ** 2 + (second.value - second.ci_low) ** 2) ** 0.5
    return Estimate(centre, centre - down, centre + up)
