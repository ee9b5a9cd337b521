"""All of MLflow. Results are on disk before anything is logged; a tracking server that fails costs no result."""

from __future__ import annotations

import logging
import os

# a server that does not answer must not delay a study: MLflow's own defaults wait for a quarter of an hour
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "2")
os.environ.setdefault("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a laboratory's runs stay private

from leukosr.tracking.leftovers import end_lost
from leukosr.tracking.runs import Run, existing_run, failures, run

for chatty in ("mlflow.system_metrics.system_metrics_monitor", "mlflow.tracking.fluent", "mlflow.pyfunc", "alembic"):
    logging.getLogger(chatty).setLevel(logging.WARNING)
# it prints a traceback of every database error that it also raises; Run.attempt says it in one line
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

__all__ = ["Run", "end_lost", "existing_run", "failures", "run"]
