"""Spread of runs, differences of two runs, and the number of runs that a comparison needs."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leukosr.evaluate.spread import by_learning_rate, run_sd, seeds_needed, two_runs_differ_by
from leukosr.evaluate.trials import Trials


def trials_of(values: dict[float, list[float]], runs: list[bool] | None = None) -> Trials:
    rows = [(rate, value) for rate, own in values.items() for value in own]
    table = pd.DataFrame(rows, columns=["learning_rate", "value"])
    return Trials(table.assign(trial=range(len(rows))), (), np.array(runs or [True] * len(rows)), "accuracy", 0)


def test_pairs_are_those_of_one_learning_rate() -> None:
    values = {0.01: [0.80, 0.81, 0.86], 0.1: [0.30, 0.32]}
    apart = [100 * abs(a - b) for own in values.values() for a, b in itertools.combinations(own, 2)]
    expected = {str(p): np.mean([each >= p - 1e-9 for each in apart]) for p in (1, 2, 5)}
    assert two_runs_differ_by(trials_of(values)) == pytest.approx(expected) == {"1": 1.0, "2": 0.75, "5": 0.5}


def test_percent_and_fractions_give_the_same_points() -> None:
    values = [0.80, 0.81, 0.86, 0.83]
    percent = trials_of({0.01: [100 * value for value in values]})
    assert two_runs_differ_by(percent) == two_runs_differ_by(trials_of({0.01: values}))


def test_one_run_a_learning_rate_has_no_pairs_and_no_sd() -> None:
    single = trials_of({0.01: [0.8], 0.1: [0.9]})
    assert two_runs_differ_by(single) == {}
    assert run_sd(single) is None
    assert by_learning_rate(single)[0.01].sd is None


def test_only_whole_runs_count() -> None:
    trials = trials_of({0.01: [0.80, 0.90, 0.81, 0.91]}, [True, False, True, False])
    assert two_runs_differ_by(trials)["2"] == 0.0
    assert by_learning_rate(trials)[0.01].runs == 2


def test_the_sd_is_pooled_over_learning_rates() -> None:
    values = {0.01: [0.80, 0.82, 0.84], 0.1: [0.5, 0.6]}
    pooled = (2 * np.var(values[0.01], ddof=1) + np.var(values[0.1], ddof=1)) / 3
    assert run_sd(trials_of(values)) == pytest.approx(pooled**0.5)


def test_bootstrap_intervals_hold_the_figures_and_cover() -> None:
    inside = 0
    for seed in range(100):
        drawn = np.random.default_rng(seed).normal(0.8, 0.02, 30)
        spread = by_learning_rate(trials_of({0.01: list(drawn)}), draws=500)[0.01]
        assert spread.sd is not None
        for figure in (spread.mean, spread.sd, *spread.quantiles.values()):
            assert figure.ci_low is not None and figure.ci_high is not None
            assert figure.ci_low <= figure.value <= figure.ci_high
        inside += spread.mean.ci_low <= 0.8 <= spread.mean.ci_high  # type: ignore[operator]
    assert inside >= 87


@pytest.mark.parametrize(("sd", "difference"), [(0.02, 0.01), (0.02, 0.02), (0.005, 0.02)])
def test_the_needed_runs_are_the_fewest_with_the_power(sd: float, difference: float) -> None:
    needed = seeds_needed(sd, difference)
    assert needed is not None

    def power(runs: int) -> float:
        rng = np.random.default_rng(runs)
        drawn = rng.normal(difference, sd * 2**0.5, (20000, runs))
        return float((stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05).mean())

    assert power(needed) > 0.79
    assert power(needed - 1) < 0.81


def test_no_spread_needs_two_runs_and_too_much_needs_too_many() -> None:
    assert seeds_needed(0.0, 0.01) == 2
    assert seeds_needed(5.0, 0.01) is None
