"""Logging the results of stages later, where MLflow did not answer while they ran."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mlflow
import yaml
from mlflow import MlflowClient

from leukosr.config import Params
from leukosr.config.load import parse_params
from leukosr.engine.databases import error_line, without_password
from leukosr.engine.precision import Resolved
from leukosr.errors import LeukoError
from leukosr.layout import Layout, of_network, require
from leukosr.project import dvc_hash, read_lock
from leukosr.tracking.calls import Caller
from leukosr.tracking.classifier_record import ClassifierRecord
from leukosr.tracking.records import RESULTS, results_digest
from leukosr.tracking.runs import DEADLINE_SECONDS, run
from leukosr.tracking.sweep_record import SweepRecord
from leukosr.tracking.training_record import TrainingRecord

Record = TrainingRecord | ClassifierRecord | SweepRecord


@dataclass
class Synced:
    """Names of runs that were logged, or already held; stages that were not logged.

    unfinished: they have written nothing yet. outdated: params.yaml or the manifest is not what made their results, or
    the results are not those that DVC knows, so that nobody knows what made them.
    """

    logged: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)


def sync(params: Params, params_file: Path, layout: Layout) -> Synced:
    """Log the results of every stage of which the store has no complete run; a second call logs nothing.

    Raises LeukoError where MLflow fails; runs that are complete by then are not logged again.
    """
    os.environ.pop("MLFLOW_RUN_ID", None)  # that run is of something else
    for table in (layout.manifest, layout.roles):
        require(table, "prepare")
    synced, made_with = Synced(), _Lock(params_file)
    for record in _records(params, layout):
        if not all((each / "metrics.json").is_file() or (each / "trials.csv").is_file() for each in record.folders):
            synced.unfinished.append(record.stage)
        elif (precision := _precision(record)) is None or made_with.differs(
            record.stage, params, (layout.manifest, layout.roles)
        ):
            synced.outdated.append(record.stage)
        elif _is_held(record, params.study.name):
            synced.held.append(record.name)
        elif made_with.knows_others(record.stage):
            synced.outdated.append(record.stage)
        else:
            # the commit that trained it is no longer known
            tags = {**record.tags, "synced": "true", "git_commit": "unknown"}
            with run(record.name, experiment=params.study.name, tags=tags, watched="none") as tracked:
                replace(record, params=params.computed_in(precision)).replay(tracked)
            if tracked.lost:
                raise LeukoError(f"{record.name} is not logged completely, as MLflow failed: run it again later")
            synced.logged.append(record.name)
    return synced


def _records(params: Params, layout: Layout) -> Iterator[Record]:
    for training in params.train_sr:
        for network in params.trained_networks:
            yield TrainingRecord(params, training, layout, layout.sr(of_network(training, network)), network)
    for name in params.classify:
        folders: dict[str, Path] = {each: layout.classify(name, each) for each in params.protocols_of(name)}
        networks = params.networks_of(*params.classify[name].arms)
        yield ClassifierRecord(params, name, layout, params.seeds_of(name), folders, networks)
    if params.trains:
        yield SweepRecord(params, layout.sweep)


def _is_held(record: Record, experiment: str) -> bool:
    """Whether the store has a run with all of the results."""
    digest, caller = results_digest(record.folders), Caller()

    def look() -> bool:
        found = MlflowClient().get_experiment_by_name(experiment)
        wanted = f"tags.{RESULTS} = '{digest}'"
        return found is not None and len(MlflowClient().search_runs([found.experiment_id], wanted, max_results=1)) > 0

    try:
        return bool(caller.call(look, DEADLINE_SECONDS))
    except Exception as error:
        uri = mlflow.get_tracking_uri()
        raise LeukoError(
            f"MLflow at {without_password(uri)} failed ({error_line(error, uri)}): run it again once it answers"
        ) from None
    finally:
        caller.close()


def _precision(record: Record) -> Resolved | None:
    """What a finished stage computed in, by its own files; None where an older version wrote them."""
    files = (record.folders[0] / name for name in ("metrics.json", "variance.json", "search.json"))
    found: dict[str, Any] = json.loads(next(filter(Path.is_file, files)).read_text(encoding="utf-8"))
    return found.get("precision")


class _Lock:
    """What dvc.lock, beside params.yaml, says of how results were made; without one everything counts as current."""

    def __init__(self, params_file: Path) -> None:
        path = params_file.with_name("dvc.lock")
        self.raw = yaml.safe_load(params_file.read_text(encoding="utf-8"))
        self.stages = read_lock(path)
        self._others: dict[str, bool] = {}

    def differs(self, stage: str, params: Params, tables: Sequence[Path]) -> bool:
        """Whether a stage was made with other parameters, or from another manifest or other roles."""
        entry = self.stages.get(stage)
        if entry is None:
            return False
        made = copy.deepcopy(self.raw)
        for key, value in entry.params.items():
            *above, last = key.split(".")
            section = made
            for name in above:
                section = section.setdefault(name, {})
            section[last] = value
        now = {table.as_posix(): hashlib.md5(table.read_bytes(), usedforsecurity=False).hexdigest() for table in tables}
        return any(entry.deps.get(table) != digest for table, digest in now.items()) or not _equal(made, params)

    def knows_others(self, stage: str) -> bool:
        """Whether a stage made other results than those that are there: a command run by hand wrote over them.

        Every file is hashed, so it is asked of results alone that would be logged, and once of each stage.
        """
        if stage not in self._others:
            outs = {} if (entry := self.stages.get(stage)) is None else entry.outs
            known = {Path(path): digest for path, digest in outs.items() if digest is not None}
            self._others[stage] = any(not path.exists() or dvc_hash(path) != known[path] for path in known)
        return self._others[stage]


def _equal(made: Any, params: Params) -> bool:
    try:
        return parse_params(made, "dvc.lock").model_dump() == params.model_dump()
    except LeukoError:
        return False
