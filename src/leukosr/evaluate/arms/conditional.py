"""p values that hold for these sources or for these runs alone; no verdict rests on them."""

from __future__ import annotations

import numpy as np
from scipy import stats

from leukosr.evaluate.arms.pairs import Pair

EXACT_PAIRS = 16  # up to 65,536 sign patterns are all tried


def source_differences(pair: Pair) -> np.ndarray:
    """Difference of the fractions correct in each source, over all runs."""
    rates = [side.hits.sum((0, 2)) / np.maximum(side.true.sum((0, 2)), 1) for side in (pair.first, pair.second)]
    return np.asarray(rates[0] - rates[1])


def sign_flip(differences: np.ndarray) -> float:
    """Two-sided p of paired differences under random signs: exact up to 16 pairs that differ, else by Student's t."""
    moving = differences[differences != 0]
    if not len(moving):
        return 1.0
    if len(moving) > EXACT_PAIRS:
        return float(stats.ttest_1samp(differences, 0).pvalue) if np.ptp(differences) else 0.0
    patterns = np.arange(2 ** len(moving))[:, None] >> np.arange(len(moving)) & 1
    return float((abs((1 - 2 * patterns) @ moving) >= abs(moving.sum()) * (1 - 1e-12)).mean())


def mcnemar(pair: Pair) -> float:
    """Exact McNemar p of one run. It takes images for independent, so it needs one image a source."""
    change = pair.first.hits.sum((0, 2)) - pair.second.hits.sum((0, 2))
    only_first, only_second = int((change > 0).sum()), int((change < 0).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)
