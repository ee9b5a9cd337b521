"""Which runs to make, so that their variance can be taken apart afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leukosr.engine.seeding import STREAMS, Stream, StreamRoots, stream_rng
from leukosr.evaluate.runs.trials import EVERYTHING

REPEAT = "none"  # varied by a repeat: nothing
ATTEMPTS = 1000


@dataclass(frozen=True)
class Cell:
    """One run of a design: its learning rate, the seed of each stream, and what it varies (a stream, all, none)."""

    number: int
    learning_rate: float
    seeds: dict[Stream, int]
    varied: str

    @property
    def roots(self) -> StreamRoots:
        """The cell's seeds, as trainings take them; a stream that the design does not name has seed 0 in every run."""
        return StreamRoots(self.number, {**dict.fromkeys(STREAMS, 0), **self.seeds})


@dataclass(frozen=True)
class Finished:
    """A cell that is done: the number of its trial in Optuna, parameters and metrics, or the error that ended it.

    pruned: a search gave it up for others that did better. run_id: its MLflow run. ran_on: device and threads.
    """

    cell: int
    trial: int
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    error: str | None
    pruned: bool
    run_id: str | None
    seconds: float
    ran_on: str


def factorial(learning_rates: Sequence[float], runs: int, streams: Sequence[Stream], root: int) -> list[Cell]:
    """Every learning rate with `runs` runs. In each run every stream has a seed of its own.

    Each stream draws from few seeds, which recur in new combinations, so that the streams can be told apart: as many
    seeds as leave contrasts for the residual. All learning rates have the same number of runs of each seed, as far as
    that goes, and no two runs of one are equal.
    """
    levels = seeds_a_stream(len(learning_rates), runs, len(streams))
    cells: list[Cell] = []
    for place, rate in enumerate(learning_rates):
        rng = stream_rng(root, "order", "factorial", place)
        for seeds in _combinations(runs, levels, streams, rng):
            cells.append(Cell(len(cells), rate, seeds, EVERYTHING))
    return cells


def seeds_a_stream(learning_rates: int, runs: int, streams: int) -> int:
    """How many seeds each stream draws from: at least 2, at most one per run."""
    # contrasts: learning_rates * runs - learning_rates, shared by the streams and the residual
    return min(runs, max(2, 1 + learning_rates * (runs - 1) // (streams + 1)))


def _combinations(
    runs: int, levels: int, streams: Sequence[Stream], rng: np.random.Generator
) -> Iterator[dict[Stream, int]]:
    """Seeds 1, 2, … of every stream, each equally often, in an order of its own; all runs different if that can be."""
    pool = 1 + np.arange(runs) % levels
    for _ in range(ATTEMPTS):
        drawn = np.stack([rng.permutation(pool) for _ in streams], axis=1)
        if len(np.unique(drawn, axis=0)) == min(runs, levels ** len(streams)):
            break
    for row in drawn:
        yield {stream: int(seed) for stream, seed in zip(streams, row, strict=True)}


def independent_runs(learning_rates: Sequence[float], runs: int, streams: Sequence[Stream]) -> list[Cell]:
    """Every learning rate with `runs` runs that share no seed: the sd of runs itself, as sharply as so many can tell.

    Streams cannot be told apart. Run k has seed k in every stream, at every learning rate and in every sweep.
    """
    cells: list[Cell] = []
    for rate in learning_rates:
        for seed in range(1, runs + 1):
            cells.append(Cell(len(cells), rate, dict.fromkeys(streams, seed), EVERYTHING))
    return cells


def streams_design(learning_rate: float, draws: int, repeats: int, streams: Sequence[Stream]) -> list[Cell]:
    """One stream varied at a time, then all of them, then exact repeats, which show what the hardware does."""
    base: dict[Stream, int] = dict.fromkeys(streams, 0)
    cells: list[Cell] = []
    for stream in streams:
        for seed in range(1, draws + 1):
            cells.append(Cell(len(cells), learning_rate, {**base, stream: seed}, stream))
    for seed in range(draws + 1, 2 * draws + 1):
        cells.append(Cell(len(cells), learning_rate, dict.fromkeys(streams, seed), EVERYTHING))
    for _ in range(repeats):
        cells.append(Cell(len(cells), learning_rate, base, REPEAT))
    return cells
