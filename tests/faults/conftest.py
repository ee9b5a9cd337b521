"""Injected faults: a sample of about two minutes in `make test`, all of them in `make campaign`.

Every kind of fault is one test that uses the fixture `tally`: it counts what was tried, goes on after a failure and
fails at the end with the list. `make campaign` sets LEUKOSR_CAMPAIGN=1 (all trials) and LEUKOSR_CAMPAIGN_TABLE (a file
that gets one JSON line per kind, from which docs/reliability.md is made).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.tally import Tally

CAMPAIGN = os.environ.get("LEUKOSR_CAMPAIGN") == "1"


@pytest.fixture
def campaign() -> bool:
    """Whether all trials are to be made."""
    return CAMPAIGN


@pytest.fixture
def sample(campaign: bool) -> Callable[[int, int], int]:
    """`sample(whole, part)`: how many trials to make, the whole number in a campaign, else the part."""
    return lambda whole, part: whole if campaign else part


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """The trials of the test; set `kind` to the name of the row in docs/reliability.md."""
    trials = Tally(kind=request.node.name)
    yield trials
    table = os.environ.get("LEUKOSR_CAMPAIGN_TABLE")
    if table:
        row = {"kind": trials.kind, "tried": trials.tried, "failed": sorted(trials.failures)}
        with Path(table).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    assert trials.tried, "no trial was made"
    assert not trials.failures, f"{len(trials.failures)} of {trials.tried} failed: {trials.failures}"
