"""How much of what low resolution loses does an arm recover? The share (arm - bicubic) / (originals - bicubic).

It means something only in a design with assay sensitivity (ICH E10, 1.5): originals against bicubic enlargement is the
largest effect that there can be, and where it is not told from chance, nothing that super-resolution does can be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import optimize

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Pair, pair
from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.significance import LEVEL
from leukosr.evaluate.arms.two_way import Metric, Side, estimated, scored
from leukosr.evaluate.estimate import Estimate

STEPS = 2.0 ** np.arange(-16, 21)  # how far from the share its bounds are looked for


def recovered_share(arm: Predictions, originals: Predictions, bicubic: Predictions, metric: Metric) -> Estimate:
    """The recovered share of an arm: 1 is all, below 0 is harm.

    All three on the images and runs that they have in common. Raises LeukoError where there are none.
    """
    runs = ["image", "seed", *(["sr_seed"] if "sr_seed" in arm.table else [])]
    common = arm.table[runs]
    for other in (originals, bicubic):
        common = common.merge(other.table[[name for name in runs if name in other.table]])
    if common.empty:
        raise LeukoError(
            f"{arm.name}, {originals.name} and {bicubic.name} have no run on the same image in common: name tables "
            "of one study, whose images and seeds are written alike"
        )
    gain, room = (
        pair(*(replace(each, table=each.table.merge(common)) for each in both))
        for both in ((arm, bicubic), (originals, bicubic))
    )
    return share_of(gain, room, metric)


def share_of(gain: Pair, room: Pair, metric: Metric) -> Estimate:
    """The ratio of two differences on the same images and runs, with Fieller's interval (Fieller 1954), 95 %.

    It holds every ratio r for which the first difference less r times the second is not told from 0, by the t test over
    runs and sources that verdicts rest on. The bounds are None where the second is not told from 0 itself, as any ratio
    is then possible.
    """
    (first, moved), (second, moved_too) = (_difference(each, metric) for each in (gain, room))
    images = room.first.true.sum(-1).mean(0)
    middle = float(first.mean() / second.mean()) if second.mean() else float("nan")

    def outside(numerator: float, ratios: np.ndarray) -> np.ndarray:
        scores = numerator * first - ratios[..., None] * second
        side = Side(room.runs, scores, numerator * moved - ratios[..., None, None] * moved_too)
        return LEVEL - estimated([side], images, room.strata).p_different()

    if room.sources < 2 or not second.mean() or outside(0, np.ones(1)) <= 0:
        return Estimate(middle, None, None)
    low, high = (_edge(lambda ratios: outside(1, ratios), middle, way) for way in (-1, 1))
    return Estimate(middle, low, high)


def _difference(each: Pair, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """The difference of each run (runs,), and what each source adds to it (runs, sources)."""
    one, other = scored(each.first, metric), scored(each.second, metric)
    return one[0] - other[0], one[1] - other[1]


def _edge(outside: Callable[[np.ndarray], np.ndarray], middle: float, way: int) -> float | None:
    """Where ratios begin to be rejected, from the middle on upwards or downwards."""
    tried = middle + way * STEPS
    rejected = np.flatnonzero(outside(tried) > 0)
    if not len(rejected):
        return None
    last = float(tried[rejected[0] - 1]) if rejected[0] else middle
    return float(optimize.brentq(lambda ratio: float(outside(np.array(ratio))), last, tried[rejected[0]], xtol=1e-6))
