"""Verdicts and their p, on arms whose true difference is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from leukosr.evaluate.arms.conditional import sign_flip
from leukosr.evaluate.arms.pairs import Counts, Run, pair
from leukosr.evaluate.arms.predictions import Predictions, read_predictions
from leukosr.evaluate.arms.significance import (
    PTests,
    compare,
    difference,
    holm,
    p_values,
    words,
)
from leukosr.evaluate.arms.simulation import Design, draw, one
from leukosr.evaluate.arms.two_way import Estimated, Metric, Side, estimated, groupings, scored
from leukosr.report.comparisons import about, as_json, difference_text, sentences

from .drawn import as_predictions

PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "case1-leakage" / "plots" / "confusion"
SMALL = Design(class_sources=(12, 12), class_images=(60, 60))


def simulate(design: Design = SMALL, gain: float = 0.0, seed: int = 0) -> tuple[Predictions, Predictions]:
    drawn = draw(design, "accuracy", gain, 1, np.random.default_rng(seed))
    return as_predictions(one(drawn, 0))


def arm(name: str, right: np.ndarray, sources: list[str] | None = None) -> Predictions:
    """An arm of two classes from right and wrong, (runs, images)."""
    rows = [
        (f"i{n}", sources[n] if sources else f"s{n}", seed, "ab"[n % 2], "ab"[(n % 2) ^ (not good)])
        for seed, run in enumerate(right) for n, good in enumerate(run)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["image", "source", "seed", "true", "predicted"])
    return Predictions(name, table, ("a", "b"))


def number(value: float, variance: float, freedom: float = 1e6, unseen: float = 0.0, grain: float = 0.0) -> Estimated:
    return Estimated(*(np.array(each) for each in (value, variance, freedom, unseen, grain)))


def word(found: Estimated, margin: float = 0.02) -> str:
    return str(words(found, margin, p_values(found, margin)))


def test_arms_that_agree_on_every_image_are_equivalent_on_many_alone() -> None:
    """A difference of the margin would leave no trace in 20 images more often than not."""
    few, many = number(0.0, 0.0, grain=1 / 20), number(0.0, 0.0, grain=1 / 2000)
    assert word(few) == "inconclusive" and word(many) == "equivalent"
    low, high = few.interval(0.95)
    assert high == -low == pytest.approx(1 / (1 + 20 / 1.959964**2), rel=1e-4)  # Wilson's bound for 0 of 20


@settings(max_examples=100, deadline=None)
@given(
    value=st.floats(-0.3, 0.3), sd=st.floats(0.0, 0.1), freedom=st.floats(1, 100), images=st.integers(5, 5000),
    unseen=st.floats(0, 0.1),
)  # fmt: skip
def test_the_ends_of_an_interval_are_where_its_test_turns(
    value: float, sd: float, freedom: float, images: int, unseen: float
) -> None:
    found = number(value, sd**2, freedom, unseen, 1 / images)
    low, high = (float(end) for end in found.interval(0.95))
    assert low <= value <= high
    for end, p in ((low, found.p_above), (high, found.p_below)):
        if -0.9 < end < 0.9 and abs(end - value) > 1e-6:
            assert p(end) == pytest.approx(0.025, abs=1e-3)


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([None, 0.02]) == [None, 0.04]  # a comparison without p is still one of the family


@pytest.mark.parametrize("count", [1, 2, 6, 9])
def test_sign_flips_of_equal_differences_give_the_smallest_p(count: int) -> None:
    assert sign_flip(np.full(count, 0.02)) == pytest.approx(2 / 2**count)


def test_sign_flips_agree_with_scipy() -> None:
    differences = np.random.default_rng(3).normal(0.3, 1, 12)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=10_000, alternative="two-sided"
    )
    assert sign_flip(differences) == pytest.approx(expected.pvalue, abs=1e-9)
    many = np.random.default_rng(4).normal(0.25, 1, 60)
    assert sign_flip(many) == pytest.approx(stats.ttest_1samp(many, 0).pvalue)
    assert sign_flip(np.zeros(40)) == 1.0


def test_the_differences_are_those_of_scikit_learn() -> None:
    first, second = simulate(Design(runs=3, class_sources=(5, 5, 5, 5), class_images=(20, 20, 20, 20)))
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
        assert found[metric].difference == pytest.approx(means[0] - means[1])


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (0.06, 0.01, "clearly better"),
        (-0.06, 0.01, "clearly worse"),
        (0.005, 0.001, "equivalent"),  # different for certain, and too little to matter: before `better`
        (0.03, 0.01, "better"),
        (-0.03, 0.01, "worse"),
        (-0.015, 0.01, "no gain"),
        (0.01, 0.02, "inconclusive"),
    ],
)
def test_the_first_word_that_applies_is_said(value: float, error: float, expected: str) -> None:
    assert word(number(value, error**2)) == expected


def test_holm_takes_words_back() -> None:
    found = number(0.03, 0.01**2)
    family = PTests(np.array(0.06), np.array(1.0), np.array(1.0))
    assert str(words(found, 0.02, family)) == "inconclusive"


def test_a_wider_margin_changes_the_word_and_its_p() -> None:
    sides = [pair(*simulate(gain=0.1, seed=1))]
    by_margin = [compare(sides, margin=margin)[1] for margin in (0.01, 0.05, 0.4)]
    assert [each.verdict for each in by_margin] == ["clearly better", "better", "equivalent"]
    assert by_margin[0].p_value == by_margin[1].p_value != by_margin[2].p_value
    assert [(each.ci_low, each.ci_high) for each in by_margin[1:]] == [(by_margin[0].ci_low, by_margin[0].ci_high)] * 2


def test_a_loss_is_told_of_the_pair_as_it_was_named() -> None:
    good, bad = simulate(gain=0.25, seed=1)
    won, lost = compare([pair(good, bad)])[0], compare([pair(bad, good)])[0]
    assert (won.a, won.verdict, lost.a, lost.verdict) == ("first", "clearly better", "second", "clearly worse")
    assert (lost.difference, lost.ci_low) == pytest.approx((-won.difference, -won.ci_high))


def test_five_runs_never_suffice() -> None:
    found = compare([pair(*simulate(replace(SMALL, runs=5), 0.3))])
    assert {(each.verdict, each.reason) for each in found} == {("inconclusive", "5 paired runs, and a verdict takes 6")}


def test_one_run_is_marked_as_this_one() -> None:
    found = compare([pair(*simulate(replace(SMALL, runs=1), 0.3))])
    assert {(each.verdict, each.reason, each.p_value) for each in found} == {("inconclusive", "one run", None)}
    assert all(each.ci_low is not None for each in found)
    assert all("(1 run: no interval)" in difference_text(each) for each in found)
    assert "sources, 1 run." in next(sentences(found))


def test_sources_that_nobody_knows_earn_no_verdict() -> None:
    """Audit, row 2: copies that count as many sources let equal arms win in up to 36 %."""
    arms = [replace(each, table=each.table.assign(source="")) for each in simulate(gain=0.3)]
    found = compare([pair(*arms)])
    assert {each.verdict for each in found} == {"inconclusive"}
    assert all(each.reason is not None and "source" in each.reason and each.p_source is None for each in found)


def test_two_sources_earn_no_verdict() -> None:
    """They agree by luck too often: two images, always right and always wrong, are no proof."""
    right = np.ones((6, 2), bool)
    found = compare([pair(arm("x", right), arm("y", ~right))])
    assert {(each.verdict, each.reason) for each in found} == {("inconclusive", "2 sources, and a verdict takes 3")}


def test_a_pair_without_a_verdict_makes_none_easier_for_others() -> None:
    sound, sure = simulate(gain=0.1, seed=2), simulate(gain=0.3)
    unknown = [replace(each, table=each.table.assign(source="")) for each in sure]
    found = compare([pair(*sound), pair(*unknown)])
    beside_a_failure = compare([pair(*sound)], unseen=1)
    assert [found[i].p_holm for i in (0, 2)] == [each.p_holm for each in beside_a_failure]
    beside_a_sound_one = compare([pair(*sound), pair(*sure)])
    assert found[0].p_holm > beside_a_sound_one[0].p_holm  # type: ignore[operator]
    assert found[1].p_holm is not None and found[1].verdict == "inconclusive", "its own is shown all the same"


def test_a_class_without_test_images_changes_nothing() -> None:
    arms = simulate(gain=0.1, seed=1)
    named = [replace(each, classes=(*each.classes, "never", "neither")) for each in arms]
    assert as_json(compare([pair(*named)])) == as_json(compare([pair(*arms)]))


def test_a_run_that_lacks_a_class_is_scored_by_those_that_it_has() -> None:
    """As `score` and scikit-learn do of its predictions alone."""
    both, one_class = np.array([[[3, 0]], [[3, 0]]]), np.array([[[0, 2]], [[0, 0]]])
    everything = both + one_class
    scores, influence = scored(Counts(everything, everything, everything), "macro_f1")
    assert scores.tolist() == [1.0, 1.0] and np.isfinite(influence).all()


def test_the_only_source_of_a_class_counts_for_what_its_class_adds_to_macro_f1() -> None:
    right = np.random.default_rng(0).random((6, 12)) < 0.7
    each = arm("x", right, ["only" if n % 2 else f"s{n}" for n in range(12)])
    scores, influence = scored(pair(each, each).first, "macro_f1")
    alone = [f1_score(own["true"], own["predicted"], pos_label="b") for _, own in each.table.groupby("seed")]
    assert np.ptp(alone) > 0
    assert influence.sum(1) == pytest.approx((np.array(alone) - scores) / 2)


def test_how_little_few_images_of_a_class_show_does_not_depend_on_whose_they_are() -> None:
    """100 images of one class and 4 of the other: as sources of one class each, and as patients who have both."""
    right = np.random.default_rng(0).random((2, 6, 104)) < 0.9
    labels = ["ab"[n < 4] for n in range(104)]

    def by(sources: list[str]) -> Estimated:
        arms = []
        for name, each in zip("xy", right, strict=True):
            plain = arm(name, each, sources)
            true = plain.table["image"].map(lambda image: labels[int(image[1:])])
            swapped = true.map({"a": "b", "b": "a"})
            correct = plain.table["true"] == plain.table["predicted"]
            arms.append(replace(plain, table=plain.table.assign(true=true, predicted=true.where(correct, swapped))))
        return difference(pair(*arms), "macro_f1")

    pure, mixed = by([f"s{n}" for n in range(104)]), by([f"s{n % 26}" for n in range(104)])
    assert mixed.grain == pytest.approx(pure.grain, rel=0.1) and mixed.grain > (1 / 4 + 1 / 100) / 4 / 6


def test_arms_by_different_networks_have_as_many_as_the_one_with_fewer() -> None:
    first, second = simulate(gain=0.2)
    by = [
        replace(
            each, table=each.table.assign(sr_seed=(each.table["seed"] % 2 + start), seed=each.table["seed"] + start)
        )
        for each, start in ((first, 0), (second, 100))
    ]
    sides = pair(*by)
    assert (sides.paired, sides.networks) == (False, 2)


def test_no_figure_depends_on_a_random_seed() -> None:
    """Audit, row 7: the state of every generator is as it was, and a repeat gives the same bytes."""
    sides = [pair(*simulate())]
    before = repr(np.random.get_state(legacy=False))
    texts = {as_json(compare(sides)) for _ in range(3)}
    assert len(texts) == 1 and repr(np.random.get_state(legacy=False)) == before


def test_the_fields_are_those_that_programs_read() -> None:
    found = json.loads(as_json(compare([pair(*simulate())])))
    fields = {"a", "b", "metric", "difference", "ci_low", "ci_high", "p_improvement", "p_value", "p_holm", "verdict"}
    assert fields | {"margin", "ci90_low", "ci90_high", "frequency"} <= set(found[0])
    assert [each["metric"] for each in found] == ["accuracy", "macro_f1"]


def test_the_p_is_that_of_the_interval() -> None:
    """Audit, row 8: a p over runs alone calls equal arms different in up to 42 %."""
    estimate = difference(pair(*simulate(gain=0.05, seed=3)), "macro_f1")
    p = float(estimate.p_different())
    low, high = estimate.interval(1 - p)
    assert min(abs(float(low)), abs(float(high))) == pytest.approx(0, abs=1e-9)


def test_the_variance_is_that_of_the_cluster_mean_with_one_run() -> None:
    """One run, one image per source, one stratum: Student's standard error of the mean difference."""
    right = np.array([[n % 3 != 0 for n in range(90)]]), np.array([[n % 2 == 0 for n in range(90)]])
    sides = pair(arm("x", right[0]), arm("y", right[1]))
    found = difference(replace(sides, strata=np.zeros(90, int)), "accuracy")
    apart = (right[0][0] * 1.0) - right[1][0]
    assert float(found.variance) == pytest.approx(apart.var(ddof=1) / 90)
    assert float(found.freedom) == pytest.approx(89)


def test_the_degrees_of_freedom_hold_the_interaction() -> None:
    """Audit, row 6: V^2 / (A^2 / a + B^2 / b + C^2 / c) with V = A + B - C."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (8, 1)) + rng.normal(0, 1, 50) + rng.normal(0, 1, (8, 50))
    scores = values.mean(1)
    runs = tuple(pair(*simulate()).runs)
    found = estimated([Side(runs, scores, (values - scores[:, None]) / 50)], np.ones(50), np.zeros(50))
    of_runs, of_sources = scores.var(ddof=1) / 8, values.mean(0).var(ddof=1) / 50
    rest = values - scores[:, None] - values.mean(0) + values.mean()
    both = (rest**2).sum() / (7 * 49) / (8 * 50)
    variance = of_runs + of_sources - both
    certainty = of_runs**2 / 7 + of_sources**2 / 49 + both**2 / (7 * 49)
    assert float(found.variance) == pytest.approx(variance)
    assert float(found.freedom) == pytest.approx(variance**2 / certainty)


def test_influences_are_what_a_little_more_of_a_source_does() -> None:
    side = pair(*simulate()).first
    more = [replace(side, **{name: getattr(side, name) * 1.0 for name in ("hits", "predicted", "true")})]
    for part in (more[0].hits, more[0].predicted, more[0].true):
        part[:, 3] *= 1 + 1e-6
    for metric in ("accuracy", "macro_f1"):
        scores, influence = scored(side, metric)
        moved = scored(more[0], metric)[0]
        assert (moved - scores) / 1e-6 == pytest.approx(influence[:, 3], abs=1e-6)
        assert influence.sum(1) == pytest.approx(0, abs=1e-12)


def test_runs_of_unlike_seeds_are_unpaired() -> None:
    first, second = simulate(gain=0.2)
    moved = replace(second, table=second.table.assign(seed=second.table["seed"] + 100))
    sides = pair(first, moved)
    found = compare([sides])[0]
    assert (sides.paired, sides.left_out, found.runs, found.p_runs) == (False, 0, 8, None)
    assert found.verdict in ("better", "clearly better")
    assert found.difference == pytest.approx(compare([pair(first, second)])[0].difference)


def test_mcnemar_is_told_only_where_every_source_has_one_image() -> None:
    rng = np.random.default_rng(0)
    right = rng.random((2, 1, 60)) < np.array([0.9, 0.7])[:, None, None]
    found = compare([pair(arm("x", right[0]), arm("y", right[1]))])[0]
    only = [int((right[i] & ~right[1 - i]).sum()) for i in (0, 1)]
    assert found.p_mcnemar == pytest.approx(stats.binomtest(only[0], sum(only)).pvalue)
    assert compare([pair(*simulate(replace(SMALL, runs=1)))])[0].p_mcnemar is None


def test_equal_predictions_differ_by_nothing_and_a_single_source_says_nothing() -> None:
    same, _ = simulate()
    for found in compare([pair(same, replace(same, name="copy"))]):
        assert (found.difference, found.frequency, found.p_improvement, found.p_runs) == (0, 0, 0.5, 1.0)
    lonely = [arm(name, np.tile(right, (8, 1)), ["s"] * 8) for name, right in (("x", [True] * 8), ("y", [False] * 8))]
    for found in compare([pair(*lonely)]):
        assert (found.ci_low, found.ci90_high, found.p_value, found.verdict) == (None, None, None, "inconclusive")


def test_a_class_with_one_source_joins_another() -> None:
    design = Design(class_sources=(9, 1), class_images=(40, 40))
    for found in compare([pair(*simulate(design, 0.2))]):
        assert found.ci_low is not None and found.ci_low < found.difference


def nested(seeds: int, runs: int) -> Predictions:
    return simulate(replace(SMALL, runs=runs, sr_seeds=seeds, network_sd=0.5))[0]


@pytest.mark.parametrize(
    ("networks", "said"),
    [(1, "this network"), (2, "these 2 networks"), (3, "this method")],
)
def test_a_verdict_is_about_the_networks_that_were_trained(networks: int, said: str) -> None:
    """Audit, row 5."""
    one_arm = nested(networks, 6)
    other = replace(one_arm, name="bicubic", table=one_arm.table.drop(columns="sr_seed"))
    found = compare([pair(one_arm, other)])
    assert found[0].networks == networks and said in about(found)


def test_runs_count_as_their_networks_means() -> None:
    first, second = simulate(replace(SMALL, runs=4, sr_seeds=3, network_sd=0.5))
    sides = pair(first, second)
    assert [len(level) for level in next(groupings(sides.runs))] == [4, 4, 4]
    scores = scored(sides.first, "accuracy")[0] - scored(sides.second, "accuracy")[0]
    by_network = [scores[[run.sr_seed == k for run in sides.runs]].mean() for k in range(3)]
    found = difference(sides, "accuracy")
    assert float(found.value) == pytest.approx(np.mean(by_network))
    assert float(found.variance) >= np.var(by_network, ddof=1) / 3 * (1 - 1e-12)


def test_seeds_that_recur_in_every_network_are_a_sample_too() -> None:
    first, second = simulate(replace(SMALL, runs=4, sr_seeds=3, network_sd=0.5))
    again = [replace(each, table=each.table.assign(seed=each.table["seed"] % 4)) for each in (first, second)]
    assert [len(levels) for levels in groupings(pair(*again).runs)] == [3, 4]


def test_published_predictions_still_allow_no_verdict_by_micrograph() -> None:
    arms = [read_predictions(PUBLISHED / f"{name}_source_disjoint.csv", name) for name in ("real_esrgan", "bicubic")]
    found = compare([pair(*arms)])[1]
    assert (found.verdict, round(100 * found.difference, 1)) == ("inconclusive", -0.1)


def test_arms_of_different_test_images_are_never_told_apart() -> None:
    """Of two protocols, their classifiers differ in more than the arm."""
    arms = [read_predictions(PUBLISHED / f"raw_{name}.csv", name) for name in ("paper", "source_disjoint")]
    for each in compare([pair(*arms)]):
        assert each.verdict == "inconclusive" and "only 11 % of their test images in common" in str(each.reason)


def test_a_few_missing_images_leave_the_verdict() -> None:
    first, second = simulate(replace(SMALL, runs=8, accuracy=0.9), gain=0.3)
    whole = compare([pair(first, second)])[0]
    image = second.table["image"].iloc[0]
    fewer = compare([pair(first, replace(second, table=second.table[second.table["image"] != image]))])[0]
    assert whole.verdict == fewer.verdict == "clearly better"


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_runs_that_are_right_about_other_images_each_show_more_than_runs_that_agree(metric: Metric) -> None:
    """An image counts as one coin where runs agree about it, as one for each run where they do not."""
    agreed, apart = np.zeros((2, 4, 40), bool)
    agreed[:, :20] = True
    apart[np.arange(40) % 4, np.arange(40)] = True
    grains = [difference(pair(arm("a", right), arm("b", right)), metric).grain for right in (agreed, apart)]
    assert grains == pytest.approx([1 / 40, 1 / 160], rel=0.05)


@pytest.mark.parametrize(("right", "expected"), [(6, 0.0), (9, 0.5 / 12), (12, 1 / 12)])
def test_sources_hide_the_more_the_nearer_scores_are_to_an_end(right: int, expected: float) -> None:
    drawn = np.tile(np.arange(12) < right, (6, 1))
    found = difference(pair(arm("a", drawn), arm("b", drawn)), "accuracy")
    assert found.unseen == pytest.approx(expected)


def test_arms_share_as_little_as_the_one_with_more_images_has_in_common() -> None:
    """A table cut to a tenth of the test images is another test set, whichever arm it is of."""
    first, second = simulate(replace(SMALL, runs=8, accuracy=0.9), gain=0.3)
    few = second.table["image"].unique()[::10]
    cut = replace(second, table=second.table[second.table["image"].isin(few)])
    for each in (pair(first, cut), pair(cut, first)):
        assert each.shared == pytest.approx(len(few) / first.table["image"].nunique())
        assert compare([each])[0].verdict == "inconclusive"


@pytest.mark.parametrize(("sizes", "expected"), [((12,), 1 / 12), ((4, 4, 4), 1 / 12), ((2, 6), (1 / 2 + 1 / 6) / 4)])
def test_what_few_sources_may_hide_is_one_over_their_number_were_they_to_weigh_alike(
    sizes: tuple[int, ...], expected: float
) -> None:
    strata = np.arange(len(sizes)).repeat(sizes)
    side = Side((Run(1), Run(2)), np.full(2, 0.8), np.zeros((2, len(strata))))
    assert estimated([side], np.full(len(strata), 5.0), strata).unseen == pytest.approx(expected)
