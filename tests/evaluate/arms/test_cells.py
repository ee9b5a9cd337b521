"""Cells helped and harmed, and label flips."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.cells import help_and_harm, label_flips, runs_in_common

CLASSES = ("a", "b", "c")


def said(predicted: str, seed: int = 1, true: str = "aabbccaa", **columns: int) -> pd.DataFrame:
    """One letter an image; two images show one source."""
    images = [f"i{number}" for number in range(len(true))]
    sources = [f"s{number // 2}" for number in range(len(true))]
    table = pd.DataFrame({"image": images, "source": sources, "seed": seed, "true": list(true)})
    return table.assign(predicted=list(predicted), **columns)


def test_each_cell_counts_under_its_class_and_what_it_was_mistaken_for() -> None:
    whole, *parts = help_and_harm(said("aabbcaab"), said("bbbbccaa"), CLASSES)
    assert (whole.helped.value, whole.harmed.value) == (2 / 8, 2 / 8)
    shares = {(each.true, each.mistaken): (each.helped.value, each.harmed.value) for each in parts}
    assert shares == {("a", "b"): (2 / 8, 1 / 8), ("c", "a"): (0, 1 / 8)}


def test_turning_the_pair_round_swaps_help_and_harm() -> None:
    first, second = said("aabbcaab"), said("bbbbccaa")
    swapped = {(each.true, each.mistaken): each for each in help_and_harm(second, first, CLASSES)}
    for each in help_and_harm(first, second, CLASSES):
        assert swapped[each.true, each.mistaken].helped == each.harmed


def test_the_parts_add_up_to_the_whole_and_intervals_hold_the_share() -> None:
    rng = np.random.default_rng(0)
    one, other = (
        pd.concat([said("".join(rng.choice(list("abc"), 40)), seed, "abcc" * 10) for seed in (1, 2, 3)])
        for _ in range(2)
    )
    whole, *parts = help_and_harm(one, other, CLASSES)
    assert sum(each.helped.value for each in parts) == pytest.approx(whole.helped.value)
    for share in (share for each in (whole, *parts) for share in (each.helped, each.harmed)):
        assert share.ci_low is not None and share.ci_high is not None
        assert 0 <= share.ci_low <= share.value < share.ci_high <= 1


def test_a_share_of_nothing_has_an_interval_by_its_sources() -> None:
    alike = said("aabbccaa")
    whole = help_and_harm(alike, alike, CLASSES)[0].helped
    assert whole.value == 0 and whole.ci_high is not None and whole.ci_high > 0.3  # four sources say little


def wrong_where(marked: np.ndarray) -> pd.DataFrame:
    """Runs, (runs, images), that are right on all images but those marked; an image a source."""
    runs = [said("".join(np.where(each, "b", "a")), seed, "a" * len(each)) for seed, each in enumerate(marked)]
    return pd.concat(runs).assign(source=lambda table: table["image"])


def test_runs_that_harm_the_same_cells_prove_less_than_runs_that_harm_others() -> None:
    same, other = np.zeros((2, 8, 80), bool)
    same[:, :10] = True
    other[np.arange(80) // 10, np.arange(80)] = True
    good = wrong_where(np.zeros((8, 80), bool))
    alike, apart = (help_and_harm(wrong_where(marked), good, ("a", "b"))[0].harmed for marked in (same, other))
    assert alike.value == apart.value == 1 / 8
    assert None not in (alike.ci_high, alike.ci_low, apart.ci_high, apart.ci_low)
    assert apart.ci_high - apart.ci_low < (alike.ci_high - alike.ci_low) / 2  # type: ignore[operator]


def test_a_share_of_nothing_is_as_sure_as_runs_differ_in_what_they_get_right() -> None:
    """Two arms that never differ: their runs agree on every cell, or are right on other cells each."""
    same, other = np.zeros((2, 4, 40), bool)
    same[:, :20] = True
    other[np.arange(40) % 4, np.arange(40)] = True
    highest = [help_and_harm(arm, arm, ("a", "b"))[0].harmed.ci_high for arm in map(wrong_where, (same, other))]
    wilson = [1 / (1 + images / 1.959964**2) for images in (40, 160)]
    assert highest == pytest.approx(wilson, rel=0.05)


@pytest.mark.parametrize(("runs", "given"), [(1, True), (2, False), (3, True)])
def test_two_runs_give_no_interval(runs: int, given: bool) -> None:
    marked = np.zeros((runs, 20), bool)
    marked[:, :4] = True
    share = help_and_harm(wrong_where(marked), wrong_where(np.zeros((runs, 20), bool)), ("a", "b"))[0].harmed
    assert share.value == pytest.approx(0.2)
    assert (share.ci_low is not None, share.ci_high is not None) == (given, given)


@pytest.mark.parametrize(("networks", "given"), [(1, True), (2, False), (3, True)])
def test_two_networks_give_no_interval_whatever_the_number_of_runs(networks: int, given: bool) -> None:
    cells = np.zeros((3, 20), bool)
    cells[:, :4] = True
    seeds = range(1, networks + 1)
    arms = [pd.concat([wrong_where(wrong).assign(sr_seed=seed) for seed in seeds]) for wrong in (cells, ~cells | True)]
    share = help_and_harm(arms[0], arms[1], ("a", "b"))[0].helped
    assert (share.ci_low is not None) == given


@pytest.mark.slow
def test_the_interval_of_a_share_covers_it() -> None:
    rng, covered, truth = np.random.default_rng(1), [], 0.1
    for _ in range(150):
        of_source = rng.beta(1, 9, 60).repeat(2)
        runs = []
        for seed in (1, 2, 3):
            hit = rng.random(120) < of_source
            runs.append(said("".join(np.where(hit, "a", "b")), seed, "a" * 120))
        share = help_and_harm(pd.concat(runs), pd.concat(runs).assign(predicted="b"), ("a", "b"))[0].helped
        assert share.ci_low is not None and share.ci_high is not None
        covered.append(share.ci_low <= truth <= share.ci_high)
    assert np.mean(covered) >= 0.91


def test_arms_that_share_no_seed_are_refused() -> None:
    with pytest.raises(LeukoError, match="no image and seed in common"):
        help_and_harm(said("aabbccaa", 1), said("aabbccaa", 2), CLASSES)


def test_flips_between_networks_and_between_seeds_are_told_apart() -> None:
    runs = [
        said("aabbccaa", 1, sr_seed=1), said("aabbccbb", 1, sr_seed=2),
        said("babbccaa", 2, sr_seed=1), said("babbccbb", 2, sr_seed=2),
    ]  # fmt: skip
    flips = label_flips(pd.concat(runs))
    assert (flips.sr_seeds, flips.seeds) == (2 / 8, 1 / 8)
    assert label_flips(said("aabbccaa")).seeds is None and label_flips(said("aabbccaa")).sr_seeds is None


def test_networks_that_meet_the_same_baseline_widen_the_interval() -> None:
    """Four networks that agree in nothing: one that is right about every cell, and three that are about none."""
    networks = [said("a" * 40 if k == 0 else "b" * 40, seed, "a" * 40, sr_seed=k) for k in range(4) for seed in (1, 2)]
    baseline = pd.concat([said("b" * 40, seed, "a" * 40) for seed in (1, 2)])
    helped = help_and_harm(pd.concat(networks), baseline, ("a", "b"))[0].helped
    assert helped.value == 0.25 and helped.ci_high is not None and helped.ci_high > 0.8


def test_only_runs_of_both_arms_count() -> None:
    first = pd.DataFrame({"seed": [1, 1, 2, 3]})
    assert runs_in_common(first, first) == 3
    assert runs_in_common(first, pd.DataFrame({"seed": [3, 4]})) == 1
    assert runs_in_common(pd.DataFrame({"seed": [1, 1, 2], "sr_seed": [1, 2, 1]}), first) == 3
