"""How often our own statistics are wrong, by simulation of arms whose true difference is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from leukosr.engine.parallel import ordered_map
from leukosr.evaluate.predictions import Pair, pair
from leukosr.evaluate.significance import compare, mcnemar, wilson
from leukosr.evaluate.simulation import Design, simulate

DESIGNS = (
    Design(),
    Design(sources=14, classes=2),
    Design(sources=350, views=7),
    Design(views=1, sources=300, source_of_arm_sd=0.0),
    Design(runs=20),
    Design(run_of_arm_sd=0.03),
)
POWER_RUNS = (6, 8, 10, 15, 20)
POWER_DIFFERENCES = (0.01, 0.02, 0.05)
POWER_DESIGN = Design(sources=350, views=4)
STUDIES = len(DESIGNS) + len(POWER_RUNS) * len(POWER_DIFFERENCES)
BOOTSTRAP = 400  # draws a comparison; the interval's width is then known to 4 %


@dataclass(frozen=True)
class Calibration:
    """What so many simulated comparisons of one design gave by accuracy; fractions, with 95 % Wilson intervals.

    wins: share called better or meaningful (of equal arms: false wins; of different ones: power). covered: share of
    intervals that hold the true difference. mcnemar: share in which McNemar's test on one run's images has p < .05.
    """

    design: Design
    comparisons: int
    wins: float
    wins_low: float
    wins_high: float
    covered: float
    covered_low: float
    covered_high: float
    mcnemar: float

    def as_record(self) -> dict[str, float | int]:
        """One flat row of a table."""
        record = asdict(self)
        return record.pop("design") | record


def calibrate(comparisons: int, workers: int) -> Iterator[Calibration]:
    """Equal arms under every design, then the power for 1, 2 and 5 points by number of runs."""
    for design in DESIGNS:
        yield _judge(design, comparisons, workers)
    for difference in POWER_DIFFERENCES:
        for runs in POWER_RUNS:
            yield _judge(replace(POWER_DESIGN, runs=runs, difference=difference), max(comparisons // 4, 1), workers)


def _judge(design: Design, comparisons: int, workers: int) -> Calibration:
    found = np.array(list(ordered_map(partial(_once, design), range(comparisons), workers)))
    wins, covered, naive = found.mean(0).tolist()
    return Calibration(
        design, comparisons,
        wins, *wilson(wins * comparisons, comparisons),
        covered, *wilson(covered * comparisons, comparisons),
        naive,
    )  # fmt: skip


def _once(design: Design, draw: int) -> tuple[bool, bool, bool]:
    """Was the first arm called better, did the interval hold the truth, was McNemar's test on run 0 significant?"""
    sides = pair(*simulate(design, np.random.default_rng([draw, design.runs, design.sources])))
    found = compare([sides], draws=BOOTSTRAP)[0]
    sign = 1 if found.a == sides.a else -1
    low, high = sorted((sign * found.ci_low, sign * found.ci_high))
    return found.verdict != "inconclusive", low <= design.difference <= high, mcnemar(_by_image(design, draw)) < 0.05


def _by_image(design: Design, draw: int) -> Pair:
    """The first run of the same comparison with every image taken for a source of its own."""
    arms = simulate(design, np.random.default_rng([draw, design.runs, design.sources]))
    naive = [replace(arm, table=arm.table[arm.table["seed"] == 0].assign(source="")) for arm in arms]
    return pair(*naive)
