"""Do the runs of one configuration lie closer together than those of another?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.two_way import METRICS
from leukosr.evaluate.estimate import Estimate
from leukosr.evaluate.runs.spread import Spread, by_learning_rate, independent
from leukosr.evaluate.runs.trials import Trials
from leukosr.quoting import counted

LEAST_RUNS = 5  # the interval needs a trimmed mean of more than four
REACH, STEP = 8.0, 0.001  # of the logarithms of ratios that are looked at


@dataclass(frozen=True)
class Steadiness:
    """Runs of one configuration beside those of the first. In the metric's own unit; ratio: sd over that of the first.

    The intervals of all ratios together hold with 95 %. ratio is None for the first itself, and where one of the two
    has an sd of 0.
    """

    name: str
    spread: Spread
    ratio: Estimate | None


def steadiness(tables: Sequence[tuple[str, Trials]]) -> list[Steadiness]:
    """Each table's spread, and its sd against that of the first, with intervals that hold together (Bonferroni).

    Raises LeukoError for a table of several learning rates, with too few runs, in another unit, or whose runs share
    seeds of a stream, because the interval takes them for independent.
    """
    first = _values(*tables[0])
    level = 1 - 0.05 / max(1, len(tables) - 1)
    for name, trials in tables:
        if trials.metric in METRICS and trials.point != tables[0][1].point:
            raise LeukoError(
                f"{name} and {tables[0][0]} are not in one unit: give both as fractions, or both in percent"
            )
    found: list[Steadiness] = []
    for place, (name, trials) in enumerate(tables):
        own = _values(name, trials)
        (spread,) = by_learning_rate(trials).values()
        found.append(Steadiness(name, spread, sd_ratio(own, first, level) if place else None))
    return found


def _values(name: str, trials: Trials) -> np.ndarray:
    table = trials.table[trials.runs]
    rates = table["learning_rate"].nunique()
    if rates > 1:
        raise LeukoError(
            f"{name} has {rates} learning rates: give one table alone, or keep the runs of one rate in each"
        )
    if len(table) < LEAST_RUNS:
        raise LeukoError(f"{name} has {counted(len(table), 'run')}: comparing sds takes {LEAST_RUNS} or more")
    if not independent(trials):
        raise LeukoError(
            f"{name} has runs that share the seed of a stream: sweep with sweep.design=runs to compare sds"
        )
    return table["value"].to_numpy(float)


def sd_ratio(values: np.ndarray, reference: np.ndarray, level: float = 0.95) -> Estimate | None:
    """sd(values) / sd(reference) with an interval that does not take runs for normal; None where one sd is 0.

    All ratios that Bonett's test does not reject: Bonett 2006, "Robust confidence interval for a ratio of standard
    deviations", Applied Psychological Measurement 30, 432-439. Its error comes from the pooled kurtosis, which two
    different sds inflate, so the values are divided by each ratio before it is taken.
    """
    if not np.ptp(values) or not np.ptp(reference):
        return None
    z = float(stats.norm.ppf(0.5 + level / 2))
    counts = [len(values), len(reference)]
    corrected = [float(each.var(ddof=1)) * len(each) / (len(each) - z) for each in (values, reference)]
    middle = float(np.log(corrected[0] / corrected[1])) / 2
    ratios = middle + np.arange(-REACH, REACH + STEP, STEP)  # logarithms
    scale = np.exp(-ratios)
    (fourth, second), (fourth_reference, second_reference) = _moments(values), _moments(reference)
    pooled = (second * scale**2 + second_reference) ** 2
    kurtosis = sum(counts) * (fourth * scale**4 + fourth_reference) / pooled
    error = sum((kurtosis - (n - 3) / n) / (n - 1) for n in counts) ** 0.5
    kept = ratios[np.abs(2 * (middle - ratios)) <= z * error]
    low, high = (float(np.exp(each)) for each in (kept.min(), kept.max()))
    return Estimate(float(values.std(ddof=1) / reference.std(ddof=1)), low, high)


def _moments(sample: np.ndarray) -> tuple[float, float]:
    """Sums of fourth powers, about a mean with trimmed tails (an outlier must not hide itself), and of squares."""
    middle = float(stats.trim_mean(sample, 1 / (2 * (len(sample) - 4) ** 0.5)))
    return float(((sample - middle) ** 4).sum()), float(((sample - sample.mean()) ** 2).sum())


def as_records(found: Sequence[Steadiness]) -> list[dict[str, Any]]:
    """What spreads.json holds: an object a configuration."""
    return [asdict(each) for each in found]


def as_json(found: Sequence[Steadiness]) -> str:
    """The records as text; undefined is null."""
    return json.dumps(as_records(found), indent=2, allow_nan=False)
