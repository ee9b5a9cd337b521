"""The power of a planned study against simulation of it, and of the pilot that it is planned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import pair
from leukosr.evaluate.arms.pilot import Components, components, not_excluded, with_networks
from leukosr.evaluate.arms.plan import Plan, Question, Size, plan, power
from leukosr.evaluate.arms.predictions import read_predictions
from leukosr.evaluate.arms.significance import difference, p_values, words
from leukosr.evaluate.arms.simulation import Design, draw, one
from leukosr.evaluate.estimate import Estimate
from leukosr.report.plans import needed_sentence

from .drawn import as_predictions

RESULTS = Path(__file__).parents[3] / "results" / "case1-leakage" / "plots" / "confusion"
PILOT = Design(runs=8, class_sources=(20, 20, 20), class_images=(60, 60, 60), accuracy=0.85)
NESTED = replace(PILOT, runs=3, sr_seeds=6, network_sd=0.15)
KNOWN = Components(4e-4, 1e-2, 0.0, None, None, 50, 49, 0.01)


@cache
def components_of(design: Design, difference: float) -> Components:
    """Those that a large pilot shows: a small one knows them only roughly."""
    times = 8
    large = replace(
        design, runs=4 if design.sr_seeds else 400, sr_seeds=200 if design.sr_seeds else 0,
        class_sources=tuple(times * count for count in design.class_sources),
        class_images=tuple(times * count for count in design.class_images),
    )  # fmt: skip
    return components(one(draw(large, "accuracy", difference, 1, np.random.default_rng(0)), 0), "accuracy")


def simulated(design: Design, true: float, margin: float, count: int = 3000) -> dict[str, float]:
    seen = difference(draw(design, "accuracy", true, count, np.random.default_rng(1)), "accuracy")
    said = words(seen, margin, p_values(seen, margin))
    return {str(word): float((said == word).mean()) for word in np.unique(said)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pilot", "planned", "size"),
    [
        (PILOT, PILOT, Size(8, 60)),
        (PILOT, replace(PILOT, runs=20, class_sources=(40,) * 3, class_images=(120,) * 3), Size(20, 120)),
        (NESTED, replace(NESTED, sr_seeds=3, runs=6), Size(6, 60, 3)),
    ],
)
def test_power_is_within_three_points_of_simulation(pilot: Design, planned: Design, size: Size) -> None:
    expected = power(components_of(pilot, 0.05), size, Question(0.05, 0.02))
    found = simulated(planned, 0.05, 0.02)
    for word, share in expected.items():
        assert share == pytest.approx(found.get(word, 0.0), abs=0.03), word


@pytest.mark.slow
@pytest.mark.parametrize("design", [NESTED, replace(NESTED, run_of_arm_sd=0.3, network_sd=0.05)])
def test_runs_that_recur_in_every_network_are_not_counted_as_many(design: Design) -> None:
    """As in a study with SR seeds, whose baseline has the same runs under each."""
    planned = replace(design, runs=6, sr_seeds=4, recurring=True)
    large = replace(planned, runs=30, sr_seeds=60, class_sources=(80, 80, 80), class_images=(240, 240, 240))
    pilots = [
        components(one(draw(large, "accuracy", 0.05, 1, np.random.default_rng(seed)), 0), "accuracy")
        for seed in range(6)
    ]
    powers = [power(pilot, Size(6, 60, 4), Question(0.05, 0.02)) for pilot in pilots]
    seen = difference(draw(planned, "accuracy", 0.05, 2000, np.random.default_rng(1)), "accuracy")
    said = words(seen, 0.02, p_values(seen, 0.02))
    assert all(pilot.seeds is not None for pilot in pilots)
    for word in powers[0]:  # one pilot is off by 5 points and more, as it does not know its own uncertainty
        share = float(np.mean([each[word] for each in powers]))
        assert share == pytest.approx(float((said == word).mean()), abs=0.04), word


def test_a_pilot_with_one_run_per_network_tells_networks_from_runs() -> None:
    pilot = components(one(draw(replace(NESTED, runs=1), "accuracy", 0.0, 1, np.random.default_rng(0)), 0), "accuracy")
    assert pilot.networks is not None and pilot.runs == 0


def test_few_sources_show_no_difference_however_large() -> None:
    found = plan(replace(KNOWN, seen=3, freedom=2, unseen=0.33), Question(0.02, 0.02), [], Size(0, 3))
    assert found.smallest_difference_with_infinite_runs is None and found.runs_needed is None
    assert "even endless runs show no difference" in needed_sentence(found)


def test_two_sources_earn_no_word_and_are_promised_none() -> None:
    sure = replace(KNOWN, sources=1e-6, runs=1e-6, seen=2, freedom=1, unseen=0.0)
    found = plan(sure, Question(0.1, 0.02), [Size(10, 2)], Size(10, 2))
    assert found.grid[0].power["inconclusive"] == 1 and found.runs_needed is None
    assert power(replace(sure, seen=3, freedom=2), Size(10, 3), Question(0.1, 0.02))["inconclusive"] < 0.5


@pytest.mark.parametrize(("sources", "said"), [(60, "6 runs show that arms are equivalent"), (6, "no number of runs")])
def test_where_there_is_no_gain_it_says_what_shows_as_much(sources: int, said: str) -> None:
    sizes = [Size(runs, sources) for runs in (6, 8)]
    found = plan(KNOWN, Question(0.0, 0.05), sizes, sizes[0])
    assert said in needed_sentence(found) and "80 % power" in needed_sentence(found)


def test_power_of_equal_arms_is_split_between_equivalent_no_gain_and_inconclusive() -> None:
    expected, found = power(components_of(PILOT, 0.0), Size(8, 60), Question(0.0, 0.05)), simulated(PILOT, 0.0, 0.05)
    assert found["equivalent"] > 0.3 and found["inconclusive"] > 0.02
    for word, share in expected.items():
        assert share == pytest.approx(found.get(word, 0.0), abs=0.03), word


def published(metric: str) -> Plan:
    arms = [read_predictions(RESULTS / f"{name}_source_disjoint.csv", name) for name in ("real_esrgan", "bicubic")]
    found = components(pair(*arms), metric)  # type: ignore[arg-type]
    sizes = [Size(runs, found.seen) for runs in (80, 200)]
    return plan(found, Question(0.02, 0.02), sizes, sizes[0])


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_no_number_of_runs_shows_two_points_on_the_published_micrographs(metric: str) -> None:
    found = published(metric)
    assert found.runs_needed is None and (found.smallest_difference_with_infinite_runs or 0) > 0.05
    for each in found.grid:
        won = each.power["better"] + each.power["clearly better"]
        assert won == pytest.approx(0.13, abs=0.03)  # by simulation from these predictions


def test_runs_needed_is_the_fewest_that_reach_the_power() -> None:
    question, at = Question(0.05, 0.02), Size(0, 50)
    needed = plan(KNOWN, question, [], at).runs_needed
    assert needed is not None and needed >= 6

    def won(runs: int) -> float:
        said = power(KNOWN, Size(runs, 50), question)
        return said["better"] + said["clearly better"]

    assert won(needed) >= 0.8 and (needed == 6 or won(needed - 1) < 0.8)


def test_the_smallest_difference_is_that_of_a_t_test_over_sources() -> None:
    found = plan(KNOWN, Question(0.02, 0.02), [], Size(0, 50)).smallest_difference_with_infinite_runs
    assert found == pytest.approx((2.009 + 0.849) * (1e-2 / 50) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    ("changed", "way"),
    [
        (lambda: power(KNOWN, Size(20, 200), Question(0.03, 0.02)), 1),
        (lambda: power(KNOWN, Size(20, 50), Question(0.06, 0.02)), 1),
        (lambda: power(KNOWN, Size(20, 50), Question(0.03, 0.02, family=6)), -1),
        (lambda: power(replace(KNOWN, runs=4e-3), Size(20, 50), Question(0.03, 0.02)), -1),
    ],
)
def test_power_rises_with_sources_and_difference_and_falls_with_the_family_and_variance(
    changed: Callable[[], dict[str, float]], way: int
) -> None:
    plain, other = power(KNOWN, Size(20, 50), Question(0.03, 0.02)), changed()
    won = [each["better"] + each["clearly better"] for each in (plain, other)]
    assert way * (won[1] - won[0]) > 0.02


def test_less_than_six_runs_are_inconclusive() -> None:
    assert power(KNOWN, Size(5, 50), Question(0.5, 0.02))["inconclusive"] == 1


def test_what_is_no_pilot_is_refused() -> None:
    lone = one(draw(replace(PILOT, runs=1), "accuracy", 0.0, 1, np.random.default_rng(0)), 0)
    with pytest.raises(LeukoError, match="cannot be a pilot"):
        components(lone, "accuracy")
    arm, other = as_predictions(one(draw(PILOT, "accuracy", 0.0, 1, np.random.default_rng(0)), 0))
    unknown = [replace(each, table=each.table.assign(source="")) for each in (arm, other)]
    with pytest.raises(LeukoError, match="known sources"):
        components(pair(*unknown), "accuracy")
    with pytest.raises(LeukoError, match="sr_seed"):
        power(KNOWN, Size(6, 50, 3), Question(0.02, 0.02))


def planned_from(design: Design, count: int, seed: int, networks: int = 1) -> list[Estimate]:
    """The power that so many pilots promise one study, of so many SR networks."""
    size = Size(8, 60, networks)
    drawn = draw(design, "accuracy", 0.05, count, np.random.default_rng(seed))
    pilots = [components(one(drawn, i), "accuracy") for i in range(count)]
    return [plan(pilot, Question(0.05, 0.02), [size], size).grid[0].found for pilot in pilots]


def test_a_small_pilot_says_that_its_power_may_be_off_and_a_large_one_hardly_is() -> None:
    large = planned_from(replace(PILOT, runs=100, class_sources=(160,) * 3, class_images=(480,) * 3), 1, 0)[0]
    small = planned_from(PILOT, 1, 1)[0]
    for each in (large, small):
        assert each.ci_low is not None and each.ci_high is not None and each.ci_low < each.value < each.ci_high
    assert (large.ci_high or 0) - (large.ci_low or 0) < 0.1
    assert (small.ci_high or 0) - (small.ci_low or 0) > 0.3
    assert (small.ci_low or 0) < large.value < (small.ci_high or 0)


@pytest.mark.slow
@pytest.mark.parametrize(("design", "least"), [(PILOT, 30), (replace(NESTED, runs=4, sr_seeds=4, recurring=True), 28)])
def test_most_pilots_do_not_exclude_the_power(design: Design, least: int) -> None:
    networks = design.sr_seeds or 1
    large = replace(design, runs=40, class_sources=(160,) * 3, class_images=(480,) * 3, sr_seeds=10 * design.sr_seeds)
    true = planned_from(large, 1, 0, networks)[0].value
    seen = planned_from(design, 40, 1, networks)
    assert sum((each.ci_low or 0) <= true <= (each.ci_high or 0) for each in seen) >= least


@pytest.mark.parametrize(("unseen", "grain"), [(0.2, 0.0), (0.0, 0.02)])
def test_a_pilot_of_more_sources_that_shows_the_same_promises_the_same(unseen: float, grain: float) -> None:
    """What sources may hide, and what an image counts, shrink with the sources that the study will have."""
    few = replace(KNOWN, unseen=unseen, grain=grain)
    many = replace(few, seen=200, freedom=4 * 49, unseen=unseen / 4, grain=grain / 4)
    found, same = (power(each, Size(20, 200), Question(0.0, 0.03)) for each in (few, many))
    assert 0.1 < found["equivalent"] < 0.9 and found == pytest.approx(same)


def test_on_one_network_what_is_known_of_networks_changes_nothing() -> None:
    noisy = replace(KNOWN, runs=4e-3, cells=2e-2)
    question, size = Question(0.06, 0.02), Size(8, 50)
    assert power(with_networks(noisy, 0.01), size, question) == pytest.approx(power(noisy, size, question))
    won = [power(with_networks(noisy, 1e-4), replace(size, sr_seeds=k), question)["better"] for k in (2, 4, 8)]
    assert won == sorted(won) and won[0] < won[-1] - 0.05


@pytest.mark.parametrize(
    ("pilot", "unsure", "sure"), [((100, 3), "networks", "seeds"), ((3, 100), "seeds", "networks")]
)
def test_what_a_pilot_saw_little_of_it_knows_little_of(pilot: tuple[int, int], unsure: str, sure: str) -> None:
    found = replace(KNOWN, runs=0.0, networks=1e-3, network_cells=0.0, seeds=1e-3, seed_cells=0.0, pilot=pilot)
    spread = {name: np.ptp([getattr(each, name) for each in not_excluded(found)]) for name in (unsure, sure)}
    assert spread[sure] < 1e-3 and spread[unsure] > 5e-3
