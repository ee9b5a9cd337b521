"""One run of MLflow."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.utils.name_utils import _GENERATOR_NOUNS, _GENERATOR_PREDICATES
from rich.console import Console
from rich.text import Text

from leukosr.engine.databases import error_line, without_password
from leukosr.engine.stopping import asked_to_stop
from leukosr.engine.this_process import this_process
from leukosr.terminal import Terminal
from leukosr.tracking.calls import Caller
from leukosr.tracking.leftovers import PROCESS, end_killed
from leukosr.tracking.models import log_model, register
from leukosr.tracking.store import experiment_of, open_store, resumable
from leukosr.versions import git_commit

# no error of a store or its drivers may cost a finished training; Ctrl-C still passes
FAILURES: tuple[type[BaseException], ...] = (Exception,)
DEADLINE_SECONDS = 60.0  # of a call
LAST_SECONDS = 5.0  # of the last call to a server that has failed
BYTES_PER_SECOND = 1_000_000  # of the slowest server that files are sent to

Watched = Literal["all", "below", "none"]  # system metrics of a run and those below it, of these alone, or of neither

_failures: list[str] = []


def failures() -> int:
    """How many failures of MLflow left a run of this process incomplete."""
    return len(_failures)


class Run:
    """One MLflow run. The first failure is reported once; what follows is dropped, also in the parent runs."""

    def __init__(self, console: Console, parent: Run | None = None, *, remedy: str = "", watched: bool = True) -> None:
        """`remedy` ends the warning: what to do once the server answers again. `watched`: with system metrics."""
        self.console, self.parent = console, parent
        self.remedy: str = remedy if parent is None else parent.remedy
        self.watched: bool = watched if parent is None else parent.watched
        self.lost: bool = parent is not None and parent.lost
        self.run_id: str | None = None
        self.experiment_id: str | None = None
        self.caller: Caller = Caller() if parent is None else parent.caller
        self.models: dict[str, str] = {} if parent is None else parent.models  # of weights by the names of their files

    def attempt(self, action: Callable[[], Any], size: int = 0) -> Any:
        """Call MLflow, which sends `size` bytes; on failure warn once and continue without it."""
        if self.lost:
            return None
        try:
            return self.caller.call(action, DEADLINE_SECONDS + size / BYTES_PER_SECOND)
        except FAILURES as error:
            self._lose()
            uri = mlflow.get_tracking_uri()
            failure = f"MLflow at {without_password(uri)} failed ({error_line(error, uri)})"
            _failures.append(failure)
            self.console.print(
                Text("warning:", "yellow"),
                f"{failure}. The work goes on and its results are kept on disk, but the rest of "
                f"this run is not logged. {self.remedy}".rstrip(),
            )
            return None

    def _lose(self) -> None:
        self.lost = True
        # MLflow's own thread would say the same again, in a long line
        logging.getLogger("mlflow.system_metrics.system_metrics_monitor").setLevel(logging.ERROR)
        if self.parent is not None:
            self.parent._lose()

    def end(self, status: str) -> None:
        """Close the run; after a failure try once more, silently, as the server may be back."""

        def end() -> None:
            if self.run_id is not None:  # asked here, as Ctrl-C may come while the run is opened
                mlflow.end_run(status)

        if status != "KILLED" and not self.lost:
            self.attempt(end)
        elif not self.caller.stuck:
            with suppress(*FAILURES):  # whoever kills this process does not wait for a server
                self.caller.call(end, LAST_SECONDS)

    def holds(self, run_id: str | None) -> bool:
        """Whether the store has a run of that id, which is not deleted."""
        return bool(self.attempt(lambda: resumable(run_id)))

    def tag(self, name: str, value: str) -> None:
        """Set a tag."""
        self.attempt(lambda: mlflow.set_tag(name, value))

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
            size = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
            self.attempt(lambda: mlflow.log_artifacts(str(path), folder, run_id=self.run_id), size)
        else:
            self.attempt(lambda: mlflow.log_artifact(str(path), folder, run_id=self.run_id), path.stat().st_size)

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

    def model(self, weights: Path, name: str) -> None:
        """Log the weights (safetensors) of a classifier or a generator as a model of that name."""
        uri = self.attempt(lambda: log_model(weights, name), weights.stat().st_size)
        self.models[weights.name] = uri

    def register(self, weights: str, name: str, why: str) -> None:
        """Register the model logged of a file of this name, by this run or one below it, as the champion of `name`."""
        self.attempt(lambda: register(self.models[weights], name, why))


def existing_run(run_id: str | None, console: Console | None = None) -> Run:
    """A run that another process has opened, to be a parent; without an id its children have none."""
    handle = Run(console or Terminal(stderr=True), watched=False)
    handle.run_id = run_id
    return handle


@contextmanager
def run(
    name: str,
    *,
    experiment: str,
    tags: Mapping[str, str],
    parent: Run | None = None,
    again: str | None = None,
    remedy: str = "",
    watched: Watched = "all",
    console: Console | None = None,
) -> Iterator[Run]:
    """An MLflow run around a piece of work; with `parent` a run nested in that one.

    `again` is the id of a run to resume, `remedy` what the warning advises where MLflow fails, `watched` says which
    runs have system metrics: those of a run above others would hide its scores in a comparison. Under `mlflow run` the
    code attaches to that run, names it unless the user did, and leaves the experiment as it is. An error inside marks
    the run as failed and is passed on.
    """
    handle = Run(console or Terminal(stderr=True), parent, remedy=remedy, watched=watched != "none")

    def start() -> None:
        open_store(mlflow.get_tracking_uri(), DEADLINE_SECONDS)
        # taken out of the environment, or MLflow would attach the nested runs to it as well
        attached = (os.environ.pop("MLFLOW_RUN_ID", "") or None) if parent is None else None
        unnamed = attached is not None and _is_drawn(mlflow.get_run(attached).info.run_name or "")
        attached = attached or resumable(again)
        above = parent.run_id if parent is not None else None
        if above is not None:
            handle.experiment_id = mlflow.get_run(above).info.experiment_id
        elif attached is None:
            handle.experiment_id = experiment_of(experiment)
            end_killed(handle.experiment_id)
        active = mlflow.start_run(
            run_id=attached,
            run_name=name if attached is None or unnamed else None,
            experiment_id=handle.experiment_id,
            nested=above is not None,
            parent_run_id=above,
            tags={"git_commit": git_commit(), PROCESS: json.dumps(this_process()), **tags},
            log_system_metrics=handle.watched and watched == "all",
        )
        handle.run_id = active.info.run_id

    status = "FAILED"
    try:
        handle.attempt(start)
        yield handle
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        handle.end("KILLED" if asked_to_stop() else status)
        if parent is None:
            handle.caller.close()


def _is_drawn(run_name: str) -> bool:
    """Whether MLflow drew this name, as it does for a run that nobody named: PREDICATE-NOUN-NUMBER."""
    predicate, _, rest = run_name.partition("-")
    noun, _, number = rest.partition("-")
    return predicate in _GENERATOR_PREDICATES and noun in _GENERATOR_NOUNS and number.isdigit()


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield from _flatten({str(item.get("name", i)): item for i, item in enumerate(value)}, f"{name}.")
        else:
            yield name, value
