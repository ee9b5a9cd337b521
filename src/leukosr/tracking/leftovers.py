"""Runs whose process was killed before it ended them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress

import mlflow
from mlflow import MlflowClient

from leukosr.engine.this_process import has_ended

PROCESS = "process"  # the tag with the process that logs a run


def end_lost(run_ids: Iterable[str]) -> None:
    """Mark runs that a dead process left open as killed; silently if the store does not answer."""
    for run_id in run_ids:
        with suppress(Exception):
            if mlflow.get_run(run_id).info.status == "RUNNING":
                MlflowClient().set_terminated(run_id, "KILLED")


def end_killed(experiment_id: str) -> None:
    """Mark the runs of an experiment as killed whose process ran on this host and has ended."""
    open_runs = MlflowClient().search_runs([experiment_id], "attributes.status = 'RUNNING'")
    processes = {run.info.run_id: run.data.tags.get(PROCESS) for run in open_runs}
    # the process may have ended its run after the search, so `end_lost` reads the run again
    end_lost(run_id for run_id, process in processes.items() if process and has_ended(json.loads(process)))
