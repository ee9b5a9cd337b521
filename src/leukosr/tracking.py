"""All of MLflow. Results are on disk before anything is logged; a tracking server that fails costs no result."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

# a server that does not answer must not hold up a study: MLflow's own defaults wait for a quarter of an hour
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "2")
os.environ.setdefault("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.models.signature import ModelSignature
from mlflow.types import Schema, TensorSpec

from leukosr.versions import git_commit

# whatever a store or its drivers raise must not cost a finished training; Ctrl-C still comes through
FAILURES: tuple[type[BaseException], ...] = (Exception,)
for chatty in (
    "mlflow.system_metrics.system_metrics_monitor",
    "mlflow.tracking.fluent",
    "alembic",
):
    logging.getLogger(chatty).setLevel(logging.WARNING)
# it prints a traceback of every database error that it also raises; Run.attempt says it in one line
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

SERVED_MODEL = Path(__file__).with_name("served_model.py")


class Run:
    """One MLflow run. After the first failure it says so once and drops what follows, also in the runs around it."""

    def __init__(self, console: Console, parent: Run | None = None) -> None:
        self.console = console
        self.parent = parent
        self.lost: bool = parent is not None and parent.lost
        self.run_id: str | None = None

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Do something with MLflow; on failure warn once and go on without."""
        if self.lost:
            return None
        try:
            return action()
        except FAILURES as error:
            self._lose()
            first_line = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            self.console.print(
                f"[yellow]warning:[/] MLflow at {mlflow.get_tracking_uri()} failed ({first_line}). The results are "
                "on disk, the rest of this run is not logged. Once it answers, `dvc repro --force --single-item` "
                "of this stage logs it again."
            )
            return None

    def _lose(self) -> None:
        self.lost = True
        # MLflow's own thread would say the same again, in a long line
        logging.getLogger("mlflow.system_metrics.system_metrics_monitor").setLevel(logging.ERROR)
        if self.parent is not None:
            self.parent._lose()

    def end(self, status: str) -> None:
        """Close the run; tried in silence after a failure, as the server may be back."""
        if self.run_id is None or mlflow.active_run() is None:
            return
        if self.lost:
            with suppress(*FAILURES):
                mlflow.end_run(status)
        else:
            self.attempt(lambda: mlflow.end_run(status))

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Log parameters, nested ones with dotted names; those that the run already holds are left alone."""
        run_id = self.run_id
        if run_id is None:
            return
        flat = dict(_flatten(values))

        def log() -> None:
            held = mlflow.get_run(run_id).data.params
            mlflow.log_params({key: value for key, value in flat.items() if key not in held})

        self.attempt(log)

    def metrics(self, values: Mapping[str, float | None], step: int | None = None) -> None:
        """Log metrics; None (undefined) is left out."""
        defined = {key: float(value) for key, value in values.items() if value is not None}
        self.attempt(lambda: mlflow.log_metrics(defined, step=step, run_id=self.run_id))

    def file(self, path: Path, folder: str | None = None) -> None:
        """Log one file, or all files of a folder."""
        if path.is_dir():
            self.attempt(lambda: mlflow.log_artifacts(str(path), folder, run_id=self.run_id))
        else:
            self.attempt(lambda: mlflow.log_artifact(str(path), folder, run_id=self.run_id))

    def folder(self, path: Path) -> None:
        """Log what a stage wrote: its files, or one zip where they are many images."""
        if sum(1 for _ in path.rglob("*")) <= 50:
            self.file(path)
            return
        with tempfile.TemporaryDirectory() as temporary:
            self.file(Path(shutil.make_archive(str(Path(temporary) / path.name), "zip", path)))

    def data(self, manifest: Path, digest: str, name: str) -> None:
        """Log which data were used, by digest."""
        source = CodeDatasetSource({"manifest": str(manifest)})
        dataset = MetaDataset(source, name=name, digest=digest[:36])  # type: ignore[abstract]
        self.attempt(lambda: mlflow.log_input(dataset, context="study"))

    def model(self, weights: Path, example: np.ndarray, output: np.ndarray) -> None:
        """Log weights as a model with a signature; `example` is a uint8 batch N x H x W x 3.

        Batch and image size stay free in the signature.
        """
        signature = _free_sizes(example, output)

        def log() -> None:
            with warnings.catch_warnings():
                # the signature is given, so MLflow need not guess one from type hints or an input example
                warnings.simplefilter("ignore", UserWarning)
                mlflow.pyfunc.log_model(
                    name="model",
                    python_model=str(SERVED_MODEL),
                    artifacts={"weights": str(weights)},
                    signature=signature,
                    # LeukoSR is on no package index: the environment that logged a model can load it
                    pip_requirements=["torch", "torchvision", "safetensors"],
                )

        self.attempt(log)


@contextmanager
def run(
    name: str,
    *,
    experiment: str,
    tags: Mapping[str, str],
    parent: Run | None = None,
    parent_id: str | None = None,
    again: str | None = None,
    console: Console | None = None,
) -> Iterator[Run]:
    """An MLflow run around a piece of work, with system metrics; with `parent` a run nested in that one.

    `parent_id` is the id of a run that another process has opened, `again` that of one to go on with.
    Under `mlflow run` the code attaches to that run and leaves the experiment as it is. An error inside marks
    the run failed and goes on upwards.
    """
    handle = Run(console or Console(stderr=True), parent)

    def start() -> None:
        # taken out of the environment, or MLflow would attach the nested runs to it as well
        attached = (os.environ.pop("MLFLOW_RUN_ID", "") or None) if parent is None else None
        attached = attached or _resumable(again)
        if attached is None and parent is None and parent_id is None:
            mlflow.set_experiment(experiment)
        around = mlflow.active_run() if parent_id is None else mlflow.get_run(parent_id)
        active = mlflow.start_run(
            run_id=attached,
            run_name=None if attached else name,
            experiment_id=around.info.experiment_id if around is not None else None,
            nested=parent is not None,
            parent_run_id=parent_id,
            log_system_metrics=parent_id is None,
        )
        handle.run_id = active.info.run_id
        mlflow.set_tags({**tags, "git_commit": git_commit()})

    handle.attempt(start)
    status = "FAILED"
    try:
        yield handle
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        handle.end(status)


def end_lost(run_ids: Iterable[str]) -> None:
    """Mark runs as killed that a process left open when it died; in silence where the store does not answer."""
    for run_id in run_ids:
        with suppress(*FAILURES):
            if mlflow.get_run(run_id).info.status == "RUNNING":
                mlflow.MlflowClient().set_terminated(run_id, "KILLED")


def _resumable(run_id: str | None) -> str | None:
    """The id of a run that can be gone on with; None for one that the store does not have, or has deleted."""
    if run_id is None:
        return None
    try:
        found = mlflow.get_run(run_id)
    except mlflow.exceptions.MlflowException:
        return None
    return run_id if found.info.lifecycle_stage == "active" else None


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield from _flatten({str(item.get("name", i)): item for i, item in enumerate(value)}, f"{name}.")
        else:
            yield name, value


def _free_sizes(example: np.ndarray, output: np.ndarray) -> ModelSignature:
    """The signature of a model for any batch size, and for images any height and width."""

    def free(array: np.ndarray) -> Schema:
        shape = (-1, -1, -1, 3) if array.ndim == 4 else (-1, array.shape[1])
        return Schema([TensorSpec(array.dtype, shape)])

    return ModelSignature(free(example), free(output))
