"""Variance components on tables whose components are planted."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leukosr.engine.seeding import Stream
from leukosr.evaluate.runs.components import Component, Components, _solve, components
from leukosr.evaluate.runs.designs import factorial, streams_design
from leukosr.evaluate.runs.trials import Trials

RATES = (0.001, 0.01)


def trials_of(table: pd.DataFrame, streams: tuple[str, ...]) -> Trials:
    return Trials(table, streams, np.ones(len(table), bool), "accuracy", 0)


def planted(
    levels: dict[str, np.ndarray], sd: dict[str, float], noise: float, rng: np.random.Generator, rates: np.ndarray
) -> Trials:
    """Trials with a random effect a level of every stream, noise, and a mean a learning rate."""
    value = 0.8 + 5 * rates + rng.normal(0, noise, len(rates))
    for name, seeds in levels.items():
        value = value + rng.normal(0, sd[name], seeds.max() + 1)[seeds]
    columns = {name: seeds.astype(str) for name, seeds in levels.items()}
    table = pd.DataFrame({"trial": range(len(rates)), "learning_rate": rates, **columns, "value": value})
    return trials_of(table, tuple(levels))


def crossed(rng: np.random.Generator, count: int = 96, levels: int = 12) -> dict[str, np.ndarray]:
    """Seeds of three streams drawn independently: an unbalanced crossed design."""
    return {name: rng.integers(levels, size=count) for name in ("split", "init", "order")}


def one_at_a_time(draws: int = 10, repeats: int = 10) -> dict[str, np.ndarray]:
    """Each stream varied by itself, the others at seed 0, and repeats of the base."""
    names = ("split", "init", "order")
    length = draws * len(names) + repeats
    found = {name: np.zeros(length, int) for name in names}
    for place, name in enumerate(names):
        found[name][place * draws : (place + 1) * draws] = np.arange(1, draws + 1)
    return found


DRAWS = 500
SD = {"split": 0.02, "init": 0.01, "order": 0.0}


@pytest.mark.slow
@pytest.mark.parametrize("design", ["crossed", "one_at_a_time"])
def test_estimates_are_unbiased_and_intervals_keep_their_level(design: str) -> None:
    found: list[Components] = []
    for number in range(DRAWS):
        rng = np.random.default_rng(number)
        levels = crossed(rng) if design == "crossed" else one_at_a_time()
        rates = np.array(RATES)[np.arange(96) % 2] if design == "crossed" else np.full(40, RATES[0])
        found.append(components(planted(levels, SD, 0.005, rng, rates)))
    for name in ("split", "init"):
        variances = np.array([each.by_stream[name].sd ** 2 for each in found])
        error = variances.std(ddof=1) / len(variances) ** 0.5
        assert abs(variances.mean() - SD[name] ** 2) < 3.5 * error
        covered = np.mean([each.by_stream[name].ci_low <= SD[name] <= each.by_stream[name].ci_high for each in found])
        assert 0.92 <= covered <= 0.98, (name, covered)
    assert np.mean([each.by_stream["order"].ci_low == 0 for each in found]) >= 0.95
    residuals = [each.residual for each in found if each.residual is not None]
    assert len(residuals) == DRAWS
    assert np.mean([r.ci_low <= 0.005 <= r.ci_high for r in residuals]) >= 0.92


@pytest.mark.slow
@pytest.mark.parametrize("design", ["factorial", "streams"])
def test_intervals_keep_their_level_in_the_designs_of_sweeps(design: str) -> None:
    names: tuple[Stream, ...] = ("split", "init", "order")
    if design == "factorial":
        cells = factorial([0.0001, 0.0003, 0.001, 0.003], 8, names, root=0)
    else:
        cells = streams_design(0.001, 10, 10, names)
    levels = {str(name): np.array([cell.seeds[name] for cell in cells]) for name in names}
    rates = np.array([cell.learning_rate for cell in cells])
    covered, low = {"split": 0, "init": 0}, 0
    for number in range(DRAWS):
        rng = np.random.default_rng(number)
        found = components(planted(levels, SD, 0.005, rng, rates))
        for name in covered:
            part = found.by_stream[name]
            covered[name] += part.ci_low <= SD[name] <= part.ci_high
        low += found.by_stream["order"].ci_low == 0
    assert all(0.92 <= count / DRAWS <= 0.98 for count in covered.values()), covered
    assert low / DRAWS >= 0.95


def test_bounds_solve_their_equation_and_are_0_where_nothing_does() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        weights, total = 10 ** rng.uniform(-3, 3, 12), 10 ** rng.uniform(-6, 0, 12)
        noise, wanted = 10 ** rng.uniform(-8, 2, 200), rng.chisquare(12, 200)
        found = _solve(weights, total, noise, wanted)
        none = (total / noise[:, None]).sum(1) <= wanted
        assert (found[none] == 0).all() and (found[~none] > 0).all()
        sums = (total / (found[:, None] * weights + noise[:, None])).sum(1)
        assert sums[~none] == pytest.approx(wanted[~none], rel=1e-9)
    assert (_solve(weights, np.zeros(12), noise, wanted) == 0).all()


def test_a_balanced_one_way_table_gives_the_textbook_figures() -> None:
    rng = np.random.default_rng(3)
    seeds = np.repeat(np.arange(8), 5)
    trials = planted({"init": seeds}, {"init": 0.02}, 0.01, rng, np.full(40, 0.001))
    groups = [own["value"].to_numpy() for _, own in trials.table.groupby("init")]
    within = float(np.mean([group.var(ddof=1) for group in groups]))
    between = 5 * float(np.var([group.mean() for group in groups], ddof=1))
    found = components(trials)
    assert found.by_stream["init"].sd == pytest.approx(((between - within) / 5) ** 0.5)
    assert found.residual is not None
    assert found.residual.sd == pytest.approx(within**0.5)
    # the lower bound is above 0 exactly where the F test says so
    assert (found.by_stream["init"].ci_low > 0) == (between / within > stats.f.ppf(0.975, 7, 32))


def test_one_stream_without_repeats_gives_the_exact_chi_square_interval() -> None:
    rng = np.random.default_rng(4)
    trials = planted({"init": np.arange(10)}, {"init": 0.02}, 0.0, rng, np.full(10, 0.001))
    sd = float(trials.table["value"].std(ddof=1))
    low, high = (sd * (9 / stats.chi2.ppf(p, 9)) ** 0.5 for p in (0.975, 0.025))
    found = components(trials)
    assert found.residual is None
    assert astuple(found.by_stream["init"]) == pytest.approx((sd, low, high, 9))


def test_exact_repeats_on_a_deterministic_machine_leave_no_residual() -> None:
    trials = planted(one_at_a_time(), SD, 0.0, np.random.default_rng(5), np.full(40, 0.001))
    found = components(trials)
    assert found.residual == Component(0.0, 0.0, 0.0, 9)
    assert found.by_stream["order"].sd == pytest.approx(0, abs=1e-9)
    levels = trials.table["value"].iloc[[*range(10), -1]]  # ten draws and the base
    assert found.by_stream["split"].sd == pytest.approx(float(levels.std(ddof=1)))


def test_streams_whose_seeds_are_one_to_one_stand_together() -> None:
    seeds = np.arange(24) % 8
    levels = {"split": seeds, "init": (seeds * 3) % 8, "order": np.arange(24) // 8}
    found = components(planted(levels, {**SD, "order": 0.01}, 0.01, np.random.default_rng(6), np.full(24, 0.001)))
    assert set(found.by_stream) == {"split+init", "order"}
    assert found.left_out == {}


def test_a_table_with_one_seed_for_everything_gives_the_total() -> None:
    seeds = np.arange(12)
    levels = {"split": seeds, "init": seeds, "order": seeds}
    trials = planted(levels, {**SD, "order": 0.01}, 0.0, np.random.default_rng(7), np.full(12, 0.001))
    found = components(trials)
    assert list(found.by_stream) == ["split+init+order"]
    assert found.by_stream["split+init+order"].sd == pytest.approx(float(trials.table["value"].std(ddof=1)))
    assert found.residual is None


def test_streams_that_never_change_or_change_with_the_learning_rate_are_told() -> None:
    rates = np.repeat(RATES, 6)
    levels = {"split": np.zeros(12, int), "init": np.repeat([0, 1], 6), "order": np.tile(np.arange(6), 2)}
    found = components(planted(levels, {**SD, "order": 0.01}, 0.01, np.random.default_rng(8), rates))
    assert set(found.by_stream) == {"order"}
    assert "same seed" in found.left_out["split"]
    assert "only together" in found.left_out["init"]


def test_the_mean_of_a_learning_rate_is_no_part_of_any_component() -> None:
    rng = np.random.default_rng(9)
    levels = crossed(rng)
    rates = np.array(RATES)[np.arange(96) % 2]
    trials = planted(levels, SD, 0.005, rng, rates)
    moved = trials.table.assign(value=trials.table["value"] + 0.3 * (rates == RATES[1]))
    one, other = components(trials), components(trials_of(moved, trials.streams))
    for name, component in one.by_stream.items():
        assert component.sd == pytest.approx(other.by_stream[name].sd)
