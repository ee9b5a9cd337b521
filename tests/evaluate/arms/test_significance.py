from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from leukosr.evaluate.arms.predictions import Predictions, pair
from leukosr.evaluate.arms.significance import (
    Comparison,
    Metric,
    _judged,
    compare,
    holm,
    interval,
    sign_flip,
    smallest_p,
    wilson,
)
from leukosr.evaluate.arms.simulation import Design, as_pair, as_predictions, draw


def simulate(design: Design, random: np.random.Generator) -> tuple[Predictions, Predictions]:
    return as_predictions(draw(design, random), len(design.class_sources))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def table(runs: dict[int, list[tuple[str, str, str, str]]]) -> pd.DataFrame:
    """seed -> (image, source, true, predicted)."""
    rows = [(i, s, seed, t, p) for seed, found in runs.items() for i, s, t, p in found]
    return pd.DataFrame(rows, columns=["image", "source", "seed", "true", "predicted"])


def arm(name: str, right: list[list[bool]], sources: list[str] | None = None) -> Predictions:
    """An arm of two classes from a list of right and wrong a run."""
    runs = {
        seed: [
            (f"i{n}", sources[n] if sources else f"s{n}", "ab"[n % 2], "ab"[(n % 2) ^ (not good)])
            for n, good in enumerate(run)
        ]
        for seed, run in enumerate(right)
    }
    return Predictions(name, table(runs), ("a", "b"))


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([None, 0.02]) == [None, 0.04]  # a comparison without p is still one of the family


@pytest.mark.parametrize("count", [1, 2, 6, 9])
def test_sign_flips_of_equal_differences_give_the_smallest_p(count: int) -> None:
    assert sign_flip(np.full(count, 0.02), rng()) == pytest.approx(2 / 2**count)


def test_sign_flips_agree_with_scipy() -> None:
    differences = rng(3).normal(0.3, 1, 12)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=10_000, alternative="two-sided"
    )
    assert sign_flip(differences, rng()) == pytest.approx(expected.pvalue, abs=1e-9)


def test_many_differences_are_drawn_close_to_the_exact_p() -> None:
    differences = rng(4).normal(0.25, 1, 60)
    assert sign_flip(differences, rng()) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.01)
    assert sign_flip(np.zeros(40), rng()) == 1.0


def test_wilson_gives_the_textbook_interval() -> None:
    expected = stats.binomtest(8, 10).proportion_ci(0.95, method="wilson")
    assert wilson(8, 10) == pytest.approx((expected.low, expected.high))
    assert wilson(0, 5)[0] == 0.0


@pytest.mark.parametrize(("family", "runs"), [(1, 6), (2, 7), (3, 7), (4, 8), (6, 8), (10, 9)])
def test_the_pairs_needed_are_those_of_the_specification(family: int, runs: int) -> None:
    assert smallest_p(runs, family) < 0.05 <= smallest_p(runs - 1, family)


def test_the_differences_are_those_of_scikit_learn() -> None:
    first, second = simulate(Design(runs=3, class_sources=(5, 5, 5, 5), class_images=20), rng())
    found = {each.metric: each for each in compare([pair(first, second)])}
    labels = list(first.classes)
    scores: dict[Metric, Callable[..., float]] = {
        "accuracy": accuracy_score,
        "macro_f1": lambda t, p: f1_score(t, p, labels=labels, average="macro"),
    }
    for metric, score in scores.items():
        means = [
            np.mean([score(own["true"], own["predicted"]) for _, own in side.table.groupby("seed")])
            for side in (first, second)
        ]
        one = found[metric]
        assert (one.difference if one.a == "first" else -one.difference) == pytest.approx(means[0] - means[1])


def test_a_clear_gain_in_every_run_is_meaningful_and_a_loss_turns_the_pair_round() -> None:
    good, bad = simulate(Design(difference=0.15), rng(1))
    for one, other in ((good, bad), (bad, good)):
        for found in compare([pair(one, other)]):
            assert (found.verdict, found.a, found.b) == ("meaningful", "first", "second")
            assert 0 < found.ci_low < found.difference < found.ci_high
            assert found.p_improvement == 1.0
            assert found.p_holm == found.p_value == 2 / 2**8


def test_five_runs_never_suffice() -> None:
    good, bad = simulate(Design(runs=5, difference=0.3), rng())
    assert {found.verdict for found in compare([pair(good, bad)])} == {"inconclusive"}


def test_one_seed_has_the_source_interval_alone() -> None:
    good, bad = simulate(Design(runs=1, difference=0.3), rng())
    for found in compare([pair(good, bad)]):
        assert (found.p_value, found.p_holm, found.verdict) == (None, None, "inconclusive")
        assert 0 < found.ci_low < found.ci_high < 1


def test_mcnemar_is_told_only_where_every_source_has_one_image() -> None:
    good, bad = simulate(Design(runs=1, class_sources=(40, 40), class_images=40, difference=0.2), rng())
    alone = compare([pair(good, bad)])[0]
    merged = good.table.merge(bad.table, on="image")
    one = int(((merged.predicted_x == merged.true_x) & (merged.predicted_y != merged.true_y)).sum())
    other = int(((merged.predicted_x != merged.true_x) & (merged.predicted_y == merged.true_y)).sum())
    assert alone.p_mcnemar == pytest.approx(stats.binomtest(one, one + other).pvalue)
    assert compare([pair(*simulate(Design(runs=1), rng()))])[0].p_mcnemar is None
    assert (
        compare([pair(*simulate(Design(runs=2, class_sources=(40, 40), class_images=40), rng()))])[0].p_mcnemar is None
    )


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "meaningful"),
        ({"p_improvement": 0.7, "p_improvement_low": 0.52}, "better"),
        ({"p_holm": 0.05}, "inconclusive"),
        ({"ci_low": 0.0}, "inconclusive"),
        ({"p_improvement_low": 0.5}, "inconclusive"),
        ({"p_holm": None}, "inconclusive"),
    ],
)
def test_the_verdict_needs_all_three(change: dict[str, Any], verdict: str) -> None:
    sure = Comparison(
        "a", "b", "accuracy", True, 0.02, 0.01, 0.03, 0.9, 0.6, 0.01, 0.02, 0.01, None, "inconclusive", 20, 300, 300
    )
    assert _judged(replace(sure, **change)).verdict == verdict


def test_equal_predictions_differ_by_nothing() -> None:
    same, _ = simulate(Design(), rng())
    for found in compare([pair(same, replace(same, name="copy"))]):
        assert (found.difference, found.ci_low, found.ci_high, found.p_improvement) == (0, 0, 0, 0.5)
        assert (found.p_value, found.verdict) == (1.0, "inconclusive")
        assert found.p_source == (1.0 if found.metric == "accuracy" else None)


def test_there_is_no_p_over_sources_that_nobody_knows() -> None:
    first, second = arm("x", [[True] * 8, [True] * 8]), arm("y", [[True] * 4 + [False] * 4] * 2)
    unknown = [replace(each, table=each.table.assign(source="")) for each in (first, second)]
    assert compare([pair(first, second)], "accuracy")[0].p_source == pytest.approx(2 / 2**4)
    assert all(found.p_source is None for found in compare([pair(*unknown)]))


def test_the_interval_of_one_run_is_that_of_the_cluster_mean() -> None:
    """One class, one run, one image a source: Student's interval of the mean difference."""
    first = Predictions("x", table({0: [(f"i{n}", f"s{n}", "a", "ab"[n % 3 == 0]) for n in range(90)]}), ("a", "b"))
    second = Predictions("y", table({0: [(f"i{n}", f"s{n}", "a", "ab"[n % 2]) for n in range(90)]}), ("a", "b"))
    differences = np.array([(n % 3 != 0) * 1.0 - (n % 2 == 0) for n in range(90)])
    expected = stats.t.interval(0.95, 89, differences.mean(), differences.std(ddof=1) / 90**0.5)
    assert interval(pair(first, second), "accuracy", 20_000, rng()) == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize("class_sources", [(7, 7), (30, 30), (40, 4)])
def test_the_interval_covers_the_truth(class_sources: tuple[int, ...]) -> None:
    design = Design(runs=6, class_sources=class_sources, class_images=90, difference=0.05, source_sd=0.1)
    covered = 0
    for number in range(200):
        sides = as_pair(draw(design, rng(number)), len(class_sources))
        low, high = interval(sides, "accuracy", 300, rng(number))
        assert low is not None and high is not None
        covered += low <= 0.05 <= high
    assert 0.91 <= covered / 200 <= 0.995  # 95 % within what 200 draws can show, and a little conservative


def test_a_class_with_one_source_joins_another_and_one_source_gives_no_interval() -> None:
    lonely = compare([pair(*simulate(Design(class_sources=(9, 1), class_images=40, difference=0.2), rng()))])
    assert all(found.ci_low is not None and found.ci_low < found.difference for found in lonely)
    every = compare([pair(*simulate(Design(class_sources=(1, 1, 1), class_images=40, source_of_arm_sd=0.2), rng()))])
    assert all(found.ci_high is not None and found.ci_high - (found.ci_low or 0) > 0.05 for found in every)
    right = [[number % 3 != 0 for number in range(30)]] * 8
    single = compare([pair(arm("x", [[True] * 30] * 8, ["s"] * 30), arm("y", right, ["s"] * 30))])
    for found in single:
        assert (found.ci_low, found.ci_high, found.verdict) == (None, None, "inconclusive")


def test_simulated_arms_differ_by_what_was_planned() -> None:
    design = Design(class_sources=(500, 500), class_images=1500, difference=0.05, runs=4, run_of_arm_sd=0, run_sd=0)
    differences = []
    for number in range(10):
        first, second = simulate(design, rng(number))
        rates = [(each.table["true"] == each.table["predicted"]).mean() for each in (first, second)]
        differences.append(rates[0] - rates[1])
    assert np.mean(differences) == pytest.approx(0.05, abs=0.003)


def test_the_same_files_give_the_same_figures() -> None:
    one = compare([pair(*simulate(Design(), rng(7)))])
    assert one == compare([pair(*simulate(Design(), rng(7)))])


def test_the_simulation_counts_as_files_are_counted() -> None:
    drawn = draw(Design(runs=2, class_sources=(3, 2)), rng())
    direct, read = as_pair(drawn, 2), pair(*as_predictions(drawn, 2))
    for side in ("first", "second"):
        for part in ("hits", "predicted", "true"):
            assert np.array_equal(getattr(getattr(direct, side), part), getattr(getattr(read, side), part))
