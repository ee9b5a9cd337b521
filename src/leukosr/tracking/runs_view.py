"""The address at which MLflow's interface shows the runs of a study with their scores as columns."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient

from leukosr.config import load_params
from leukosr.tracking.moved import follow_artifacts

VIEW = "leukosr"
TAG = f"mlflow.sharedViewState.{VIEW}"  # where MLflow keeps a view that an address names; it reads plain JSON, too
MODE = "workflowType=machine_learning"  # without it MLflow 3 opens in the mode for language models
COLUMNS = [
    *(f"params.`{name}`" for name in ("arm", "precision")),
    *(f"metrics.`{name}`" for name in ("accuracy", "macro_f1", "val_psnr")),
]


def runs_address(base: str, study: str) -> str:
    """The address of the runs of a study below `base`, such as http://127.0.0.1:5000; of all studies before its first.

    Keeps the columns in the experiment, where `mlflow ui` finds them.
    """
    client = MlflowClient()
    follow_artifacts(mlflow.get_tracking_uri())
    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        return f"{base}/#/experiments?{MODE}"
    client.set_experiment_tag(experiment.experiment_id, TAG, json.dumps({"selectedColumns": COLUMNS}))
    return f"{base}/#/experiments/{experiment.experiment_id}/runs?{MODE}&viewStateShareKey={VIEW}"


if __name__ == "__main__":
    print(runs_address(sys.argv[1], load_params(Path("params.yaml")).study.name))
