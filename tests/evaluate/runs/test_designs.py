"""Designs of runs: what varies, what stays, and whether the streams can be told apart afterwards."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from leukosr.engine.seeding import Stream, stream_seed
from leukosr.evaluate.runs.components import components
from leukosr.evaluate.runs.designs import Cell, factorial, independent_runs, seeds_a_stream, streams_design
from leukosr.evaluate.runs.trials import Trials

STREAMS: tuple[Stream, ...] = ("split", "init", "order")


def as_trials(cells: list[Cell]) -> Trials:
    rng = np.random.default_rng(0)
    rows = [
        {"trial": cell.number, "learning_rate": cell.learning_rate, **{k: str(v) for k, v in cell.seeds.items()}}
        for cell in cells
    ]
    table = pd.DataFrame(rows).assign(value=rng.normal(0.8, 0.02, len(cells)))
    return Trials(table, STREAMS, np.array([cell.varied == "all" for cell in cells]), "accuracy", 0)


@pytest.mark.parametrize(("rates", "runs"), [(4, 8), (2, 6), (3, 16)])
def test_streams_of_a_factorial_can_be_told_apart(rates: int, runs: int) -> None:
    cells = factorial([0.1**n for n in range(1, rates + 1)], runs, STREAMS, root=0)
    assert [cell.number for cell in cells] == list(range(rates * runs))
    found = components(as_trials(cells))
    assert set(found.by_stream) == set(STREAMS)
    assert all(part.freedom == seeds_a_stream(rates, runs, 3) - 1 for part in found.by_stream.values())
    assert found.residual is not None


def test_runs_of_one_learning_rate_are_different_and_use_every_seed_equally() -> None:
    cells = factorial([0.01, 0.001], 8, STREAMS, root=0)
    for rate in (0.01, 0.001):
        own = [tuple(cell.seeds.values()) for cell in cells if cell.learning_rate == rate]
        assert len(set(own)) == 8
        for place in range(3):
            counts = Counter(seeds[place] for seeds in own)
            assert max(counts.values()) - min(counts.values()) <= 1


def test_a_factorial_depends_on_the_root_seed_alone() -> None:
    first = factorial([0.01], 8, STREAMS, root=0)
    assert first == factorial([0.01], 8, STREAMS, root=0)
    assert first != factorial([0.01], 8, STREAMS, root=1)


def test_two_runs_are_enough_for_a_design() -> None:
    assert len(factorial([0.01, 0.001], 2, STREAMS, root=0)) == 4
    assert seeds_a_stream(2, 2, 3) == 2


def test_independent_runs_share_no_seed_and_are_the_same_at_every_learning_rate() -> None:
    cells = independent_runs([0.01, 0.001], 5, STREAMS)
    assert [cell.number for cell in cells] == list(range(10))
    for start in (0, 5):
        assert [cell.seeds for cell in cells[start : start + 5]] == [dict.fromkeys(STREAMS, k) for k in range(1, 6)]
    found = components(as_trials(cells))
    assert list(found.by_stream) == ["split+init+order"]


def test_the_streams_design_varies_one_thing_at_a_time() -> None:
    cells = streams_design(0.01, 10, 5, STREAMS)
    assert Counter(cell.varied for cell in cells) == {"split": 10, "init": 10, "order": 10, "all": 10, "none": 5}
    for cell in cells:
        changed = {stream for stream, seed in cell.seeds.items() if seed != 0}
        assert changed == ({cell.varied} & set(STREAMS) or (set(STREAMS) if cell.varied == "all" else set()))
    found = components(as_trials(cells))
    assert all(part.freedom >= 10 for part in found.by_stream.values())
    assert found.residual is not None and found.residual.freedom == 4


def test_a_cell_moves_only_the_streams_that_it_names() -> None:
    base, moved = (Cell(0, 0.01, {"split": 0, "init": seed, "order": 0}, "init") for seed in (0, 7))
    assert stream_seed(base.roots, "order", 1) == stream_seed(moved.roots, "order", 1) == stream_seed(0, "order", 1)
    assert stream_seed(base.roots, "init") != stream_seed(moved.roots, "init") == stream_seed(7, "init")


def test_a_stream_that_is_not_named_stays_still() -> None:
    cells = [*factorial([0.01], 4, ["init"], root=0), *streams_design(0.01, 2, 2, ["init"])]
    for stream in ("order", "augment", "sr_init"):
        assert {stream_seed(cell.roots, stream, 1) for cell in cells} == {stream_seed(0, stream, 1)}  # type: ignore[arg-type]
