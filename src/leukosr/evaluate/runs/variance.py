"""Everything that a table of trials says of run-to-run variance, in one place."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from leukosr.evaluate.runs.components import Components, components
from leukosr.evaluate.runs.importance import importances
from leukosr.evaluate.runs.spread import SEEN, Spread, by_learning_rate, run_sd, seeds_needed, two_runs_differ_by
from leukosr.evaluate.runs.trials import Trials


@dataclass(frozen=True)
class Variance:
    """By learning rate and over all of them; in the metric's own unit but where points are named.

    range: the largest range of the runs of one learning rate. run_sd: pooled over learning rates. added_sd: what it
    would be if the streams, each varied by itself, added up; None in other designs. seeds_needed: paired runs that show
    so many points between two arms at 80 % power; empty where all runs are equal. importances: of the learning rate and
    the streams, by Optuna; empty where it has none.
    """

    metric: str
    trials: int
    failed: int
    by_learning_rate: dict[float, Spread]
    components: Components
    range: float
    run_sd: float | None
    added_sd: float | None
    two_runs_differ_by: dict[str, float]
    seeds_needed: dict[str, int | None]
    importances: dict[str, float]


def analyse(trials: Trials) -> Variance:
    """Take the variance of a table of trials apart."""
    spreads, sd, parts = by_learning_rate(trials), run_sd(trials), components(trials)
    return Variance(
        metric=trials.metric,
        trials=len(trials.table),
        failed=trials.failed,
        by_learning_rate=spreads,
        components=parts,
        range=max(spread.range for spread in spreads.values()),
        run_sd=sd,
        added_sd=_added(trials, parts),
        two_runs_differ_by=two_runs_differ_by(trials),
        seeds_needed={} if not sd else {str(p): seeds_needed(sd, p * trials.point) for p in SEEN},
        importances=importances(trials, list(parts.by_stream)),
    )


def _added(trials: Trials, parts: Components) -> float | None:
    if trials.runs.all() or not parts.by_stream:
        return None
    hardware = 0.0 if parts.residual is None else parts.residual.sd
    return float((hardware**2 + sum(part.sd**2 for part in parts.by_stream.values())) ** 0.5)


def as_record(found: Variance) -> dict[str, Any]:
    """What variance.json holds. `components` has an entry a stream, and `residual` (null where it cannot be told)."""
    record = asdict(found)
    parts = record.pop("components")
    return {
        **record,
        "by_learning_rate": {str(float(rate)): asdict(spread) for rate, spread in found.by_learning_rate.items()},
        "components": {**parts["by_stream"], "residual": parts["residual"]},
        "left_out": parts["left_out"],
        "carries_more": parts["carries_more"],
    }


def as_json(found: Variance) -> str:
    """The record as text; undefined is null."""
    return json.dumps(as_record(found), indent=2, allow_nan=False)
