"""The state of the project: parameters, images, dvc.lock, the stores of MLflow and Optuna, git and the commands."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from leukosr.config import Params
from leukosr.config.checks import watched_weights
from leukosr.config.named_backbones import refuse_unknown_backbones
from leukosr.data.catalogue import fetch_command
from leukosr.doctor.diagnosis import Diagnosis
from leukosr.engine.databases import OPTUNA_DATABASE, storage_url, without_password
from leukosr.errors import LeukoError
from leukosr.pretrained.named import find_weights
from leukosr.project import read_lock
from leukosr.quoting import listed
from leukosr.versions import git_commit
from leukosr.yaml_file import read_yaml

MLFLOW_DATABASE = "sqlite:///mlflow.db"  # MLflow's own default


def examine_project(diagnosis: Diagnosis, params: Params | None, params_file: Path) -> None:
    """Examine the project in the working directory; `params` is None where they cannot be read."""
    if params is not None:
        diagnosis.facts |= {"study": params.study.name, "budget": params.budget.name}
        _data(diagnosis, params)
    _lock(diagnosis, params_file)
    _stores(diagnosis, params)
    _surroundings(diagnosis)


def _data(diagnosis: Diagnosis, params: Params) -> None:
    """Whether the images are there, of the study and of every DVC pointer, and the weights and backbones it names."""
    pointers = [Path("data.dvc"), *sorted(Path("datasets").glob("*.dvc"))]
    sets = {path.with_suffix("").as_posix(): path.with_suffix("").is_dir() for path in pointers if path.is_file()}
    root = params.prepare.root
    sets[root] = Path(root).is_dir()
    diagnosis.facts["data"] = sets
    drawn = {wanted.folder for wanted in params.synthesize.values()}
    if not sets[root] and root not in drawn:  # the pipeline draws the others
        diagnosis.problem(f"the images of study {params.study.name} are not in {root}", f"run `{fetch_command(root)}`")
    for file in watched_weights(params):
        try:
            find_weights(file)
        except LeukoError as error:
            diagnosis.problem(str(error), "then run `leukosr doctor` again")
    try:
        refuse_unknown_backbones(params)
    except LeukoError as error:
        diagnosis.problem(str(error), "then run `leukosr doctor` again")


def _lock(diagnosis: Diagnosis, params_file: Path) -> None:
    """Whether dvc.lock fits these parameters and its outputs exist, without the hashing of `dvc status`."""
    path = params_file.parent / "dvc.lock"
    if not path.is_file() or not params_file.is_file():
        return
    try:
        stages, params = read_lock(path, params_file.name), read_yaml(params_file)
    except LeukoError as error:
        diagnosis.problem(str(error), "then run `leukosr doctor` again")
        return
    changed = [
        name
        for name, stage in stages.items()
        if any(_plain(_at(params, key)) != _plain(value) for key, value in stage.params.items())
    ]
    outs = [out for stage in stages.values() for out in stage.outs]
    missing = [out for out in outs if not Path(out).exists()]
    diagnosis.facts["lock"] = {"fits": not changed, "stages": len(stages), "changed": changed, "missing": missing}
    if len(missing) == len(outs):
        return  # nothing was run here yet
    if changed:
        diagnosis.problem(
            f"dvc.lock holds other parameters than {params_file} for {listed(changed)}",
            "run `dvc repro` to run these stages again, or `make demo` to go back to the committed study",
        )
    elif missing:
        diagnosis.problem(
            f"{listed(missing)} of dvc.lock are missing", "run `dvc checkout`, or `dvc repro` to make them"
        )


def _at(params: Any, dotted: str) -> Any:
    """The value of a dotted key; None where there is none."""
    for part in dotted.split("."):
        params = params.get(part) if isinstance(params, dict) else None
    return params


def _plain(value: Any) -> Any:
    """The value with numbers as numbers: DVC writes 2e-08, which is text to YAML 1.1."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _stores(diagnosis: Diagnosis, params: Params | None) -> None:
    """Where MLflow and Optuna keep their records, and whether local ones open."""
    tracking = os.environ.get("MLFLOW_TRACKING_URI") or MLFLOW_DATABASE
    trials = storage_url(OPTUNA_DATABASE if params is None else params.runtime.optuna_storage)
    diagnosis.facts["mlflow"] = {"uri": without_password(tracking), **_store(diagnosis, "MLflow's", tracking, "runs")}
    diagnosis.facts["optuna"] = {"storage": without_password(trials), **_store(diagnosis, "Optuna's", trials, "trials")}
    if run := os.environ.get("MLFLOW_RUN_ID"):
        diagnosis.problem(
            f"MLFLOW_RUN_ID is {run}, so every stage logs to that run",
            "run `unset MLFLOW_RUN_ID` unless `mlflow run` set it",
        )


def _store(diagnosis: Diagnosis, whose: str, url: str, table: str) -> dict[str, Any]:
    """Whether a local store exists, and how many rows a database holds; None for servers, which may be slow."""
    path = Path(re.sub(r"^(sqlite:///|journal:|file:(//)?)", "", url))
    if "://" in str(url).removeprefix("sqlite://").removeprefix("file://"):
        return {"there": None}
    if not url.startswith("sqlite:///") or not path.is_file():
        return {"there": path.exists()}
    try:
        with sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.5) as connection:
            (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
    except sqlite3.Error as error:
        diagnosis.problem(f"{whose} database {path} does not open ({error})", f"move {path} away: a new one is made")
        return {"there": True}
    return {"there": True, table: count}


def _surroundings(diagnosis: Diagnosis) -> None:
    """The commands that DVC calls, DVC's folder and git."""
    diagnosis.facts |= {"git": git_commit(), "dvc": Path(".dvc").is_dir(), "path": shutil.which("leukosr")}
    if not Path(".dvc").is_dir():
        diagnosis.problem("there is no .dvc here", "run the command in the root of the project")
    missing = [name for name in ("leukosr", "dvc", "git") if shutil.which(name) is None]
    if missing:
        diagnosis.problem(
            f"{', '.join(missing)} not found on PATH, but the pipeline calls them", "run `source .venv/bin/activate`"
        )
    if diagnosis.facts["git"] == "unknown":
        diagnosis.problem(
            "git does not know this folder, so runs cannot name their commit", "work in a clone of LeukoSR"
        )
