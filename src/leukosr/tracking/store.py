"""MLflow's store: opening it, its experiments and what it has of a run."""

from __future__ import annotations

from functools import cache

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from leukosr.engine.databases import making_tables
from leukosr.errors import LeukoError
from leukosr.tracking.moved import follow_artifacts


@cache
def open_store(uri: str, deadline: float) -> None:
    """Open the store, once per process; the first of all processes makes the tables of a new file.

    `deadline`: seconds that the others wait for it.
    """
    with making_tables(uri, deadline):
        MlflowClient(uri)
        follow_artifacts(uri)


def experiment_of(name: str) -> str:
    """The id of an experiment, which is made where there is none.

    Not by `mlflow.set_experiment`: that holds a lock of the whole process for as long as the server answers. Raises
    LeukoError for an experiment that was deleted, which MLflow keeps by its name and logs nothing to.
    """
    client = MlflowClient()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name)
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process has made it meanwhile
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise LeukoError(
            f"the MLflow experiment {name} was deleted: bring it back with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`"
        )
    return found.experiment_id


def resumable(run_id: str | None) -> str | None:
    """The id of a run that is resumable; None for one that the store does not have, or has deleted."""
    if run_id is None:
        return None
    try:
        found = mlflow.get_run(run_id)
    except MlflowException:
        return None
    return run_id if found.info.lifecycle_stage == "active" else None
