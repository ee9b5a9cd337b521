"""What a trial in Optuna's storage says of itself."""

from __future__ import annotations

from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from leukosr.engine.this_process import has_ended
from leukosr.evaluate.runs.designs import Finished

LIVE = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE)
NAMELESS_SECONDS = 60.0  # after which a trial that names no process has lost it


def is_done(trial: FrozenTrial) -> bool:
    """Complete, diverged, or pruned as hopeless; a trial pruned as a duplicate is not done."""
    if "cell" not in trial.user_attrs:
        return False
    return trial.state == TrialState.COMPLETE or (
        trial.state.is_finished() and bool({"error", "gave_up"} & trial.user_attrs.keys())
    )


def counts(trial: FrozenTrial) -> bool:
    """Whether its cell is taken: it waits, runs or is done."""
    return "cell" in trial.user_attrs and (trial.state in LIVE or is_done(trial))


def is_dead(trial: FrozenTrial) -> bool:
    """Whether a running trial's process on this machine has ended, or never recorded its identity."""
    if "process" not in trial.user_attrs:
        started = trial.datetime_start
        return started is not None and (datetime.now() - started).total_seconds() > NAMELESS_SECONDS
    return has_ended(trial.user_attrs["process"])


def finished_of(trial: FrozenTrial) -> Finished:
    """The results of a trial that is done."""
    attributes = trial.user_attrs
    return Finished(
        cell=attributes["cell"],
        trial=trial.number,
        parameters={**trial.params, **attributes.get("given", {})},
        metrics=attributes.get("metrics", {}),
        error=attributes.get("error"),
        pruned=trial.state == TrialState.PRUNED,
        run_id=attributes.get("mlflow_run_id"),
        seconds=float(attributes.get("seconds", 0.0)),
        ran_on=attributes.get("ran_on", ""),
    )
