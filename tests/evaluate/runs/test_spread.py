"""Spread of runs, differences of two runs, and the number of runs that a comparison needs."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leukosr.engine.seeding import STREAMS
from leukosr.evaluate.runs.designs import factorial
from leukosr.evaluate.runs.spread import by_learning_rate, run_sd, seeds_needed, two_runs_differ_by
from leukosr.evaluate.runs.trials import Trials


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


@pytest.mark.parametrize("count", [8, 12])
def test_intervals_of_the_sd_cover_it(count: int) -> None:
    inside = 0
    for seed in range(500):
        drawn = np.random.default_rng(seed).normal(0.8, 0.02, count)
        sd = by_learning_rate(trials_of({0.01: list(drawn)}))[0.01].sd
        assert sd is not None and sd.ci_low is not None and sd.ci_high is not None
        inside += sd.ci_low <= 0.02 <= sd.ci_high
    assert 0.92 <= inside / 500 <= 0.98


@pytest.mark.parametrize(("drawn", "least"), [("exponential", 0.8), ("t3", 0.8)])
def test_intervals_of_the_sd_cover_skewed_and_heavy_tailed_runs_better_than_chi_square(
    drawn: str, least: float
) -> None:
    """Audit, row 10: the exact interval of normal runs covers .59 to .80 of these."""
    inside, exact = 0, 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        values = rng.exponential(0.02, 8) if drawn == "exponential" else 0.02 * rng.standard_t(3, 8) / 3**0.5
        sd = by_learning_rate(trials_of({0.01: list(values)}))[0.01].sd
        assert sd is not None and sd.ci_low is not None and sd.ci_high is not None
        inside += sd.ci_low <= 0.02 <= sd.ci_high
        low, high = (sd.value * (7 / stats.chi2.ppf(p, 7)) ** 0.5 for p in (0.975, 0.025))
        exact += low <= 0.02 <= high
    assert inside / 400 >= least
    assert inside > exact


def test_intervals_of_the_mean_of_eight_runs_cover_it() -> None:
    """Audit, row 10: BCa covers .88."""
    inside = 0
    for seed in range(500):
        mean = by_learning_rate(trials_of({0.01: list(np.random.default_rng(seed).normal(0.8, 0.02, 8))}))[0.01].mean
        assert mean.ci_low is not None and mean.ci_high is not None
        inside += mean.ci_low <= 0.8 <= mean.ci_high
    assert 0.93 <= inside / 500 <= 0.98


@pytest.mark.parametrize(
    ("rates", "runs", "streams"),
    [(1, 8, 3), (1, 16, 3), (1, 40, 3), (4, 8, 4), (2, 16, 3)],  # of 2, 4, 10, 6 and 8 seeds a stream
)
def test_intervals_of_runs_that_share_seeds_cover(rates: int, runs: int, streams: int) -> None:
    """Taken for independent, such runs had intervals that held the mean in 59 to 89 % of 1,000 tables."""
    rng, inside, told = np.random.default_rng(0), {"mean": 0, "sd": 0}, {"mean": 0, "sd": 0}
    names = STREAMS[:streams]
    for _ in range(200):
        cells = factorial([0.1**each for each in range(rates)], runs, names, int(rng.integers(10**6)))[:runs]
        effects = {(name, cell.seeds[name]): rng.normal() for cell in cells for name in names}
        values = [sum(effects[name, cell.seeds[name]] for name in names) / streams**0.5 for cell in cells]
        seeds = pd.DataFrame([cell.seeds for cell in cells])
        table = seeds.assign(trial=range(runs), learning_rate=1.0, value=np.array(values) * 0.01 + 0.5)
        spread = by_learning_rate(Trials(table, names, np.ones(runs, bool), "accuracy", 0))[1.0]
        for what, figure, truth in (("mean", spread.mean, 0.5), ("sd", spread.sd, 0.01)):
            if figure and figure.ci_low is not None and figure.ci_high is not None:
                told[what] += 1
                inside[what] += figure.ci_low <= truth <= figure.ci_high
    assert inside["mean"] >= 0.9 * told["mean"]
    assert inside["sd"] >= 0.95 * told["sd"]  # as of fewer runs; as of all of them it would be 0.92
    levels = len(set(seeds[names[0]]))
    assert told == {"mean": 200 if levels > 2 else 0, "sd": 200 if levels > 4 else 0}


def test_quantiles_are_told_of_forty_runs_and_more() -> None:
    few, enough = (by_learning_rate(trials_of({0.01: list(np.linspace(0, 1, n))}))[0.01] for n in (39, 40))
    assert few.quantiles == {}
    assert list(enough.quantiles) == ["0.05", "0.25", "0.5", "0.75", "0.95"]
    low, high = stats.binom.ppf([0.025, 0.975], 40, 0.5).astype(int)
    ordered = np.linspace(0, 1, 40)
    assert enough.quantiles["0.5"].ci_low == pytest.approx(ordered[low - 1])
    assert enough.quantiles["0.5"].ci_high == pytest.approx(ordered[high])
    assert enough.quantiles["0.05"].ci_low is None


def test_intervals_hold_the_figures_and_cover() -> None:
    inside = 0
    for seed in range(100):
        drawn = np.random.default_rng(seed).normal(0.8, 0.02, 30)
        spread = by_learning_rate(trials_of({0.01: list(drawn)}))[0.01]
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


def shared(values: list[float], init: list[int], order: list[int]) -> Trials:
    table = pd.DataFrame(
        {"value": values, "learning_rate": 0.01, "init": init, "order": order, "trial": range(len(init))}
    )
    return Trials(table, ("init", "order"), np.ones(len(init), bool), "accuracy", 0)


def test_runs_that_share_a_seed_are_no_pair() -> None:
    trials = shared([0.80, 0.81, 0.90, 0.95], init=[1, 1, 2, 2], order=[1, 2, 1, 2])
    # only the first with the last, and the second with the third, differ in both
    assert two_runs_differ_by(trials) == {"1": 1.0, "2": 1.0, "5": 1.0}
    expected = ((0.15**2 + 0.09**2) / 2 / 2) ** 0.5
    assert run_sd(trials) == pytest.approx(expected)
    assert by_learning_rate(trials)[0.01].sd.value == pytest.approx(expected)  # type: ignore[union-attr]


def test_the_run_sd_of_a_design_with_few_seeds_is_unbiased() -> None:
    found = []
    for number in range(400):
        rng = np.random.default_rng(number)
        init, order = rng.permutation(np.arange(12) % 4), rng.permutation(np.arange(12) % 4)
        value = 0.8 + rng.normal(0, 0.03, 4)[init] + rng.normal(0, 0.02, 4)[order] + rng.normal(0, 0.01, 12)
        found.append(run_sd(shared(list(value), list(init), list(order))) ** 2)  # type: ignore[operator]
    true = 0.03**2 + 0.02**2 + 0.01**2
    assert np.mean(found) == pytest.approx(true, abs=3.5 * np.std(found) / 400**0.5)


def test_values_that_take_two_levels_give_no_nan() -> None:
    spread = by_learning_rate(trials_of({0.01: [0.8, 0.8, 0.9, 0.9]}))[0.01]
    for figure in (spread.mean, spread.sd, *spread.quantiles.values()):
        assert figure is not None
        assert all(limit is None or np.isfinite(limit) for limit in (figure.ci_low, figure.ci_high))
