"""The recovered share and Fieller's interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Counts, Pair, Run
from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.recovered import recovered_share, share_of
from leukosr.evaluate.arms.significance import compare

from .drawn import as_predictions

RUNS, SOURCES, IMAGES = 6, 30, 6  # images a source
Gains = tuple[float, float, float]


def three_arms(seed: int, gains: Gains) -> list[Counts]:
    """Arm, originals, bicubic: right with 0.55 plus a gain, plus what source, run, and both in an arm are worth."""
    rng = np.random.default_rng(seed)
    rate = 0.55 + np.array(gains)[:, None, None] + rng.normal(0, 0.1, SOURCES) + rng.normal(0, 0.02, (RUNS, 1))
    rate = rate + rng.normal(0, 0.05, (3, 1, SOURCES)) + rng.normal(0, 0.02, (3, RUNS, 1))
    hits = rng.binomial(IMAGES, rate.clip(0, 1))
    own = np.eye(2, dtype=int)[np.arange(SOURCES) % 2]
    true = np.broadcast_to(IMAGES * own, (RUNS, SOURCES, 2))
    return [
        Counts(right[..., None] * own, right[..., None] * own + (IMAGES - right)[..., None] * (1 - own), true)
        for right in hits
    ]


def paired(first: Counts, second: Counts, a: str = "a") -> Pair:
    runs = tuple(Run(seed) for seed in range(RUNS))
    labels = np.arange(SOURCES) % 2
    return Pair(a, "bicubic", first, second, runs, runs, True, labels, SOURCES * IMAGES, True, 0, 1.0)


def pairs(seed: int, gains: Gains) -> tuple[Pair, Pair]:
    arm, originals, bicubic = three_arms(seed, gains)
    return paired(arm, bicubic, "arm"), paired(originals, bicubic, "originals")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "gains", "truth"), [("accuracy", (0.1, 0.2, 0.0), 0.5), ("macro_f1", (-0.05, 0.2, 0.0), -0.25)]
)
def test_fiellers_interval_covers_the_share(metric: str, gains: Gains, truth: float) -> None:
    found = [share_of(*pairs(number, gains), metric) for number in range(200)]  # type: ignore[arg-type]
    covered = [
        each.ci_low <= truth <= each.ci_high for each in found if each.ci_low is not None and each.ci_high is not None
    ]
    assert len(covered) >= 199  # the originals are told from bicubic
    assert 0.92 <= np.mean(covered) <= 0.99  # 0.95, two standard errors apart


def test_the_share_is_unbounded_where_originals_are_not_told_from_bicubic() -> None:
    gain, room = pairs(3, (0.0, 0.0, 0.0))
    assert compare([room], "accuracy")[0].verdict == "inconclusive"
    share = share_of(gain, room, "accuracy")
    assert share.ci_low is None and share.ci_high is None


def test_an_arm_that_is_the_originals_recovers_everything() -> None:
    _, originals, bicubic = three_arms(1, (0.0, 0.3, 0.0))
    room = paired(originals, bicubic)
    share = share_of(room, room, "accuracy")
    assert (share.value, share.ci_low, share.ci_high) == pytest.approx((1, 1, 1), abs=1e-4)


def test_tables_are_put_side_by_side_on_what_all_three_have() -> None:
    gain, room = pairs(5, (0.1, 0.3, 0.0))
    (originals, bicubic), (arm, _) = as_predictions(room), as_predictions(gain)
    whole = recovered_share(arm, originals, bicubic, "accuracy")
    assert whole.value == pytest.approx(share_of(gain, room, "accuracy").value)


def test_what_one_of_the_three_lacks_counts_for_none() -> None:
    gain, room = pairs(5, (0.1, 0.3, 0.0))
    (originals, bicubic), (arm, _) = as_predictions(room), as_predictions(gain)

    def cut(each: Predictions) -> Predictions:
        kept = ~each.table["source"].isin(["s0", "s1", "s2"]) & (each.table["seed"] < 5)
        return replace(each, table=each.table[kept])

    expected = recovered_share(cut(arm), cut(originals), cut(bicubic), "accuracy")
    assert expected != recovered_share(arm, originals, bicubic, "accuracy")
    assert recovered_share(cut(arm), originals, bicubic, "accuracy") == expected
    assert recovered_share(arm, cut(originals), bicubic, "accuracy") == expected
    assert recovered_share(arm, originals, cut(bicubic), "accuracy") == expected


@pytest.mark.parametrize("unlike", [{"seed": 99}, {"image": "of another set"}])
def test_tables_without_a_common_run_are_refused_by_name(unlike: dict[str, int | str]) -> None:
    gain, room = pairs(5, (0.1, 0.3, 0.0))
    (originals, bicubic), (arm, _) = as_predictions(room), as_predictions(gain)
    others = replace(originals, table=originals.table.assign(**unlike))
    with pytest.raises(LeukoError, match=f"{arm.name}, {others.name} and {bicubic.name} have no run"):
        recovered_share(arm, others, bicubic, "accuracy")
