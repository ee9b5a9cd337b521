"""How often our own statistics are wrong, by simulation of arms whose true difference is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from leukosr.engine.parallel import ordered_map
from leukosr.evaluate.arms.significance import METRICS, Metric, compare, mcnemar, wilson
from leukosr.evaluate.arms.simulation import Design, as_pair, draw

BCCD_TEST = Design(class_sources=(13, 6, 4, 48), class_images=620)  # as uneven as BCCD's test part
DESIGNS = (
    Design(),
    BCCD_TEST,
    Design(class_sources=(7, 7), class_images=28),
    Design(class_sources=(90, 90, 85, 85), class_images=450),
    Design(class_sources=(75, 75, 75, 75), class_images=75, source_of_arm_sd=0.0),
    Design(runs=20),
    Design(run_of_arm_sd=0.03),
)
POWER_RUNS = (6, 8, 10, 15, 20)
POWER_DIFFERENCES = (0.01, 0.02, 0.05)
POWER_DESIGN = Design(class_sources=(90, 90, 85, 85), class_images=360)
STUDIES = len(DESIGNS) + len(POWER_RUNS) * len(POWER_DIFFERENCES)
BOOTSTRAP = 400  # draws a comparison; the interval's width is then known to 4 %


@dataclass(frozen=True)
class Calibration:
    """What so many simulated comparisons of one design gave by one metric; fractions, with 95 % Wilson intervals.

    called: share in which the first arm was called better or meaningful (the power), of equal arms either arm (false
    calls). covered: share of intervals that hold the true difference; None for macro F1 of different arms, whose truth
    is not known. mcnemar: share in which McNemar's test on one run's images has p < .05.
    """

    design: Design
    metric: Metric
    comparisons: int
    called: float
    called_low: float
    called_high: float
    covered: float | None
    mcnemar: float

    def as_record(self) -> dict[str, float | int | str | None]:
        """One flat row of a table."""
        record = asdict(self)
        design = record.pop("design")
        return {**design, "class_sources": " ".join(map(str, design["class_sources"])), **record}


def calibrate(comparisons: int, workers: int) -> Iterator[list[Calibration]]:
    """Equal arms under every design, then the power for 1, 2 and 5 points by number of runs; a list of both metrics."""
    for design in DESIGNS:
        yield _judge(design, comparisons, workers)
    for difference in POWER_DIFFERENCES:
        for runs in POWER_RUNS:
            yield _judge(replace(POWER_DESIGN, runs=runs, difference=difference), max(comparisons // 4, 1), workers)


def _judge(design: Design, comparisons: int, workers: int) -> list[Calibration]:
    found = np.array(list(ordered_map(partial(_once, design), range(comparisons), workers)))
    naive = float(found[:, 0].mean())
    judged = []
    for column, metric in enumerate(METRICS):
        called, covered = found[:, 1 + 2 * column].mean(), found[:, 2 + 2 * column].mean()
        known = metric == "accuracy" or design.difference == 0
        bounds = wilson(called * comparisons, comparisons)
        judged.append(
            Calibration(design, metric, comparisons, float(called), *bounds, float(covered) if known else None, naive)
        )
    return judged


def _once(design: Design, number: int) -> list[bool]:
    """Was McNemar's test on run 0 significant; for each metric: was an arm called, did the interval hold the truth?"""
    drawn = draw(design, np.random.default_rng([number, design.runs, design.sources]))
    classes = len(design.class_sources)
    answers = [mcnemar(as_pair(replace(drawn, predicted=drawn.predicted[:, :1]), classes, by_image=True)) < 0.05]
    sides = as_pair(drawn, classes)
    for found in compare([sides], draws=BOOTSTRAP):
        sign = 1 if found.a == sides.a else -1
        assert found.ci_low is not None and found.ci_high is not None
        low, high = sorted((sign * found.ci_low, sign * found.ci_high))
        called = found.verdict != "inconclusive" and (design.difference == 0 or sign == 1)
        answers += [called, low <= design.difference <= high]
    return answers
