"""`leukosr sync` logs what the live stages would have logged, once, and nothing that params.yaml did not make."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mlflow
import pytest
import yaml
from mlflow import MlflowClient

from leukosr import tracking
from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.project import dvc_hash
from leukosr.tracking.classifier_record import ClassifierRecord
from leukosr.tracking.records import RESULTS
from leukosr.tracking.sync import Synced, sync

from .conftest import ARMS, TINY, Study

NAMES = ["train_sr srgan", "train_sr real_esrgan", *(f"classify {arm}" for arm in ARMS), "sweep raw"]
WHEN = ("seconds", "data_digest", "git_commit", "process", "synced", "mlflow.parentRunId")


@pytest.fixture
def empty_store(study: Study, mlflow_store: str, tmp_path: Path) -> Study:
    """The finished study with params.yaml in the working folder, whose store is empty."""
    for name in ("outputs", "optuna.db"):
        source = study.folder / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copyfile(source, tmp_path / name)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(study.params.model_dump(mode="json")))
    return study


def synced(study: Study) -> Synced:
    return sync(study.params, Path("params.yaml"), study.layout)


def held_by(uri: str, folder: Path) -> dict[str, Any]:
    """What the runs of a store hold, by name, without system metrics."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("demo")
    names = {run.info.run_id: run.info.run_name for run in client.search_runs([experiment.experiment_id])}
    found = {}
    for run in client.search_runs([experiment.experiment_id]):
        keys = [name for name in run.data.metrics if not name.startswith("system/")]
        histories = {name: client.get_metric_history(run.info.run_id, name) for name in keys}
        files = folder / "mlruns" / run.info.experiment_id / run.info.run_id / "artifacts"
        found[run.info.run_name] = {
            "below": names.get(run.data.tags.get("mlflow.parentRunId", "")),
            "status": run.info.status,
            "parameters": run.data.params,
            "tags": {k: v for k, v in run.data.tags.items() if k not in WHEN and not k.startswith("mlflow.")},
            "metrics": {name: sorted((each.step, each.value) for each in rows) for name, rows in histories.items()},
            "files": sorted(str(path.relative_to(files)) for path in files.rglob("*")),
            "data": [each.dataset.digest for each in run.inputs.dataset_inputs],
        }
    return found


def test_everything_is_logged_as_the_stages_logged_it_and_only_once(
    empty_store: Study, mlflow_store: str, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs").rglob("*")}
    # a sweep's trials are found in the store where they are; here all are gone
    assert synced(empty_store) == Synced(logged=NAMES)
    live = held_by(f"sqlite:///{empty_store.folder / 'mlflow.db'}", empty_store.folder)
    assert held_by(mlflow_store, tmp_path) == live
    assert synced(empty_store) == Synced(held=NAMES)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs").rglob("*")} == before


def test_what_the_stages_logged_is_not_logged_again(inside: Study, tmp_path: Path) -> None:
    params_file = tmp_path / "params.yaml"
    params_file.write_text(yaml.safe_dump(inside.params.model_dump(mode="json")))
    assert sync(inside.params, params_file, inside.layout) == Synced(held=NAMES)


def test_weights_become_models_where_the_study_asks_for_them(empty_store: Study) -> None:
    runtime = empty_store.params.runtime.model_copy(update={"log_models": True})
    params = empty_store.params.model_copy(update={"runtime": runtime})
    folders = {"paper": empty_store.layout.classify("raw", "paper")}
    record = ClassifierRecord(params, "raw", empty_store.layout, [1, 2], folders)
    with tracking.run(record.name, experiment="demo", tags=record.tags) as tracked:
        record.replay(tracked)
    experiment = mlflow.get_experiment_by_name("demo").experiment_id
    models = mlflow.search_logged_models(experiment_ids=[experiment], output_format="list")
    runs = {mlflow.get_run(model.source_run_id or "").info.run_name for model in models}
    assert len(models) == 2 and runs == {"classify raw seed 1", "classify raw seed 2"}
    assert not any(file.path == "weights" for file in MlflowClient().list_artifacts(tracked.run_id or ""))


@pytest.mark.parametrize("own", [("official",), ("paper", "official")])
def test_a_run_names_the_protocols_of_its_experiment(
    own: tuple[str, ...], inside: Study, compose_params: Callable[..., Params]
) -> None:
    params = compose_params(*TINY, "study.protocol=[paper,official]")
    folders = {protocol: inside.layout.classify("raw", protocol) for protocol in own}
    record, tracked = ClassifierRecord(params, "raw", inside.layout, [1, 2], folders), Mock()
    record.begin(tracked)
    (logged,) = tracked.parameters.call_args.args
    assert record.tags["protocol"] == logged["protocol"] == ", ".join(own)


def test_results_that_other_settings_made_or_that_are_not_there_are_named_and_not_logged(empty_store: Study) -> None:
    tables = [empty_store.layout.manifest, empty_store.layout.roles]
    manifest, roles = (hashlib.md5(table.read_bytes()).hexdigest() for table in tables)
    sections = empty_store.params.model_dump(mode="json")

    def stage(settings: dict[str, Any], *md5s: str) -> dict[str, Any]:
        deps = [{"path": table.as_posix(), "md5": md5} for table, md5 in zip(tables, md5s, strict=True)]
        made = {"params.yaml": {"study.seeds": [1, 2], "classify": settings}}
        return {"deps": deps, "params": made}

    same, other = sections["classify"], {**sections["classify"], "epochs": 9}
    lock = {"classify@raw": stage(same, manifest, roles),
            "classify@bicubic": stage(other, manifest, roles), "classify@srgan": stage(same, "another", roles),
            "classify@real_esrgan": stage(same, manifest, "others")}  # fmt: skip
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": lock}))
    shutil.rmtree(empty_store.layout.sr("srgan"))
    found = synced(empty_store)
    assert found.outdated == ["classify@bicubic", "classify@srgan", "classify@real_esrgan"]
    assert found.unfinished == ["train_sr@srgan"]
    assert len(found.logged) == len(NAMES) - 4 and "classify raw" in found.logged


def test_results_that_are_not_those_of_dvc_lock_are_named_and_not_logged(empty_store: Study) -> None:
    layout, tables = empty_store.layout, (empty_store.layout.manifest, empty_store.layout.roles)
    deps = [{"path": table.as_posix(), "md5": hashlib.md5(table.read_bytes()).hexdigest()} for table in tables]
    folders = {"classify@raw": layout.classify("raw", "paper").parent, "train_sr@srgan": layout.sr("srgan"),
               "sweep": layout.sweep}  # fmt: skip
    lock = {
        stage: {"deps": deps, "outs": [{"path": folder.as_posix(), "md5": dvc_hash(folder)}]}
        for stage, folder in folders.items()
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": lock}))
    with (layout.sweep / "trials.csv").open("a") as trials:  # a sweep by hand, of other parameters
        trials.write("\n")
    found = synced(empty_store)
    assert (found.outdated, found.logged) == (["sweep"], NAMES[:-1])
    with (layout.sr("srgan") / "last.safetensors").open("ab") as weights:
        weights.write(b"0")
    assert synced(empty_store).held == NAMES[:-1]  # which were logged while they were what dvc.lock says


def test_a_store_that_fails_is_an_error_and_the_next_call_goes_on(
    empty_store: Study, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(LeukoError, match=r"^MLflow at http://127.0.0.1:9 failed .* run it again"):
        synced(empty_store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    replay = ClassifierRecord.replay

    def cut(record: ClassifierRecord, tracked: tracking.Run) -> None:
        if record.experiment == "bicubic":
            monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        replay(record, tracked)

    monkeypatch.setattr(ClassifierRecord, "replay", cut)
    with pytest.raises(LeukoError, match="classify bicubic is not logged completely"):
        synced(empty_store)
    monkeypatch.setattr(ClassifierRecord, "replay", replay)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    assert synced(empty_store) == Synced(logged=NAMES[3:], held=NAMES[:3])
    complete = MlflowClient().search_runs(["1"], f"tags.{RESULTS} LIKE '%'")
    assert sorted(run.info.run_name for run in complete) == sorted(NAMES)
