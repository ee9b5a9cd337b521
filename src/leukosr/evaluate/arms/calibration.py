"""How often our own statistics are wrong, by simulation of arms whose true difference is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from zlib import crc32

import numpy as np
from scipy import stats

from leukosr.engine.parallel import ordered_map
from leukosr.evaluate.arms.pairs import Pair
from leukosr.evaluate.arms.score import rejection
from leukosr.evaluate.arms.significance import LEAST_RUNS, LEAST_SOURCES, WORDS, Verdict, difference, p_values, words
from leukosr.evaluate.arms.simulation import Design, draw
from leukosr.evaluate.arms.two_way import METRICS, Metric, Side, estimated, scored

BCCD = Design(class_sources=(13, 6, 4, 45), class_images=(620, 620, 620, 620))  # as uneven as BCCD's test part
LARGE = Design(class_sources=(90, 90, 85, 85), class_images=(450, 450, 450, 450))
DESIGNS = {
    "70 sources, 8 runs": Design(),
    "2 runs": Design(runs=2),
    "3 runs": Design(runs=3),
    "20 runs": Design(runs=20),
    "4 sources x 3 classes": Design(class_sources=(4, 4, 4), class_images=(40, 40, 40)),
    "BCCD's 13/6/4/45": BCCD,
    "BCCD's, Zipf sizes": replace(BCCD, zipf=True),
    "strong run x source x arm": Design(source_of_run_sd=1.0),
    "strong source x arm": Design(source_of_arm_sd=1.0),
    "accuracy .99, 14 sources": Design(class_sources=(7, 7), class_images=(140, 140), accuracy=0.99),
    "ties": Design(class_sources=(20, 20), class_images=(20, 20), accuracy=0.95),
    "a class with one source": Design(class_sources=(13, 6, 1, 45), class_images=(130, 60, 10, 450)),
    "350 sources": LARGE,
    "20 images, runs that agree": Design(
        class_sources=(10, 10), class_images=(10, 10), accuracy=0.98, source_sd=4.0, source_of_run_sd=0.05,
        run_sd=0.02, run_of_arm_sd=0.02,
    ),
    "3 SR seeds x 3 runs": Design(runs=3, sr_seeds=3, network_sd=0.2),
    "5 SR seeds x 3 runs": Design(runs=3, sr_seeds=5, network_sd=0.2),
    "3 SR seeds x 3 recurring runs": Design(runs=3, sr_seeds=3, network_sd=0.2, recurring=True),
    "5 SR seeds x 3 recurring runs": Design(runs=3, sr_seeds=5, network_sd=0.2, recurring=True),
    "3 SR seeds x 8 recurring runs": Design(runs=8, sr_seeds=3, network_sd=0.2, recurring=True),
    "two classes with one source": Design(
        class_sources=(1, 1, 20, 30), class_images=(40, 40, 40, 40), source_of_arm_sd=1.0,
    ),
    "five classes with one source": Design(
        class_sources=(1,) * 5, class_images=(40,) * 5, source_of_arm_sd=1.0,
    ),
    # The method was chosen while looking at the first fifteen and the last two above. These four changed nothing: an
    # independent check.
    "untuned: five uneven classes": Design(
        runs=6, class_sources=(30, 12, 8, 20, 6), class_images=(150, 60, 64, 100, 42), accuracy=0.7, source_sd=1.5,
        run_sd=0.2, run_of_arm_sd=0.2,
    ),
    "untuned: 12 and 9 sources": Design(
        runs=6, class_sources=(12, 9), class_images=(80, 60), accuracy=0.9, source_sd=1.5,
    ),
    "untuned: 375 sources of one image": Design(
        class_sources=(75,) * 5, class_images=(75,) * 5, accuracy=0.78, source_sd=0.7, source_of_arm_sd=0.5,
    ),
    "untuned: 4 SR seeds x 4 runs": Design(
        runs=4, class_sources=(25, 15, 10), class_images=(100, 75, 60), accuracy=0.85, sr_seeds=4, network_sd=0.3,
    ),
}  # fmt: skip
POWER_RUNS = (6, 8, 10, 15, 20)
POWER_DIFFERENCES = (0.01, 0.02, 0.05)
POWER = "power"  # the name of the rows that are about it
CHUNK = 100  # data sets that are drawn together; part of the seed


@dataclass(frozen=True)
class Calibration:
    """What so many simulated comparisons of one design gave by one metric; fractions.

    difference: the true one. covered: share of 95 % intervals of the difference that hold it, with its 95 % Wilson
    interval; score_covered: the same of the first arm's own score. said: the share of each verdict.
    """

    name: str
    design: Design
    metric: Metric
    margin: float
    difference: float
    comparisons: int
    covered: float
    covered_low: float
    covered_high: float
    score_covered: float
    said: dict[Verdict, float]

    @property
    def called_different(self) -> float:
        """The share of verdicts that one arm is better, false where the difference is 0."""
        return sum(self.said[word] for word in ("clearly better", "clearly worse", "better", "worse"))

    @property
    def called_better(self) -> float:
        """The share of verdicts that the first arm is better: the power."""
        return self.said["clearly better"] + self.said["better"]

    @property
    def gain_denied(self) -> float:
        """The share of verdicts that the first arm gains less than the margin, false where it gains as much."""
        return self.said["equivalent"] + self.said["no gain"]

    def as_record(self) -> dict[str, float | int | str]:
        """One flat row of a table."""
        record = asdict(self)
        design, said = record.pop("design"), record.pop("said")
        design = {
            key: " ".join(map(str, value)) if isinstance(value, tuple) else value for key, value in design.items()
        }
        return {**record, **{word.replace(" ", "_"): share for word, share in said.items()}, **design}


def calibrate(
    designs: Mapping[str, Design], margin: float, comparisons: int, workers: int, power: bool
) -> Iterator[list[Calibration]]:
    """Every design with equal arms and with arms that differ by the margin, a list of both by both metrics.

    With `power` also the difference of 1, 2 and 5 points by number of runs, at 350 sources and by accuracy.
    """
    for name, design in designs.items():
        yield [
            judge(name, design, metric, margin, true, comparisons, workers=workers)
            for metric in METRICS
            for true in (0.0, margin)
        ]
    fewer = max(comparisons // 3, 1)
    for true in POWER_DIFFERENCES if power else ():
        yield [
            judge(POWER, replace(LARGE, runs=runs), "accuracy", margin, true, fewer, workers=workers)
            for runs in POWER_RUNS
        ]


def judge(
    name: str, design: Design, metric: Metric, margin: float, true: float, comparisons: int, *, workers: int
) -> Calibration:
    """Simulate one design."""
    sizes = [min(CHUNK, comparisons - first) for first in range(0, comparisons, CHUNK)]
    task = partial(_judged, design, metric, margin, true)
    parts = list(ordered_map(task, list(enumerate(sizes)), workers))
    covered, score_covered, said = (np.concatenate(column) for column in zip(*parts, strict=True))
    low, high = stats.binomtest(int(covered.sum()), comparisons).proportion_ci(method="wilson")
    shares: dict[Verdict, float] = {word: float((said == word).mean()) for word in WORDS}
    return Calibration(
        name, design, metric, margin, true, comparisons, float(covered.mean()), float(low), float(high),
        float(score_covered.mean()), shares,
    )  # fmt: skip


def _judged(
    design: Design, metric: Metric, margin: float, true: float, chunk: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each data set: does the interval hold the difference, that of the first arm its score, and the verdict."""
    number, count = chunk
    seed = crc32(f"{design} {metric} {true}".encode())
    pair = draw(design, metric, true, count, np.random.default_rng([seed, number]))
    found = difference(pair, metric)
    low, high = found.interval(0.95)
    enough = len(pair.runs) >= LEAST_RUNS and pair.sources >= LEAST_SOURCES
    said = words(found, margin, p_values(found, margin)) if enough else np.full(count, "inconclusive")
    return (low <= true) & (true <= high), _score_covered(pair, metric, design), said


def _score_covered(pair: Pair, metric: Metric, design: Design) -> np.ndarray:
    found = estimated([Side(pair.runs, *scored(pair.first, metric))], design.images, pair.strata)
    return np.asarray(rejection(found, design.images, design.accuracy) <= 0)
