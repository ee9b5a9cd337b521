"""What MLflow holds after a run, and that no failure of MLflow costs a result."""

import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as StoredRun
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from rich.console import Console
from werkzeug.serving import BaseWSGIServer, make_server

from leukosr import tracking
from leukosr.engine.stopping import stopped_like_ctrl_c
from leukosr.engine.this_process import this_process
from leukosr.tracking.runs_view import runs_address
from leukosr.versions import git_commit

MONITOR = logging.getLogger("mlflow.system_metrics.system_metrics_monitor")
TAGS = {"study": "demo", "stage": "classify", "arm": "raw"}


class Terminal:
    """A console whose text can be read back."""

    def __init__(self) -> None:
        self.written = io.StringIO()
        self.console = Console(file=self.written, width=1000)

    @property
    def text(self) -> str:
        return self.written.getvalue()


@pytest.fixture(autouse=True)
def monitor_as_in_a_new_process() -> None:
    MONITOR.setLevel(logging.WARNING)


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def stored(name: str) -> StoredRun:
    """The newest run of that name."""
    (found,) = [run for run in mlflow.search_runs(search_all_experiments=True, output_format="list")
                if run.info.run_name == name]  # fmt: skip
    return found


def test_run_holds_parameters_metrics_tags_data_and_files(
    mlflow_store: str, tmp_path: Path, terminal: Terminal
) -> None:
    (tmp_path / "manifest.csv").write_text("id\n")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "metrics.json").write_text("{}")
    with tracking.run("one", experiment="demo", tags=TAGS, console=terminal.console) as run:
        stages = [{"name": "net", "iterations": 3}, {"name": "gan", "iterations": 4}]
        run.parameters({"arm": "raw", "losses": {"image": 1.0}, "stages": stages, "milestones": [1, 2]})
        for step in (1, 2, 3):
            run.metrics({"loss": 1 / step, "undefined": None}, step=step)
        run.data(tmp_path / "manifest.csv", "0123456789abcdef" * 4, "demo")
        run.file(tmp_path / "results")
        run.file(tmp_path / "manifest.csv", "data")
    found = stored("one")
    assert found.info.status == "FINISHED"
    assert mlflow.get_experiment(found.info.experiment_id).name == "demo"
    assert found.data.params == {
        "arm": "raw", "losses.image": "1.0", "milestones": "[1, 2]",
        "stages.net.name": "net", "stages.net.iterations": "3",
        "stages.gan.name": "gan", "stages.gan.iterations": "4",
    }  # fmt: skip
    history = MlflowClient().get_metric_history(found.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert "undefined" not in found.data.metrics
    assert TAGS.items() <= found.data.tags.items()
    assert found.data.tags["git_commit"] == git_commit()
    (dataset,) = found.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("demo", "0123456789abcdef" * 2 + "0123")
    files = [file.path for file in MlflowClient().list_artifacts(found.info.run_id)]
    assert sorted(files) == ["data", "metrics.json"]
    assert terminal.text == ""


def test_git_commit_is_that_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit() == "unknown"
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for name in ("code.py", "params.yaml"):
        (tmp_path / name).touch()
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *command], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "params.yaml").write_text("study: {}")
    assert git_commit() == head, "what a study writes does not make its code another one"
    (tmp_path / "code.py").write_text("1")
    assert git_commit() == f"{head}-dirty"


def test_run_of_a_few_seconds_has_system_metrics(mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    with tracking.run("measured", experiment="demo", tags={}):
        time.sleep(1.5)
    assert "system/cpu_utilization_percentage" in stored("measured").data.metrics
    assert "system/system_memory_usage_megabytes" in stored("measured").data.metrics


def test_a_run_above_others_has_no_system_metrics_and_those_below_have(
    mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    with tracking.run("above", experiment="demo", tags={}, watched="below") as above:
        with tracking.run("below", experiment="demo", tags={}, parent=above):
            time.sleep(1.0)
        above.metrics({"accuracy": 0.5})
    assert set(stored("above").data.metrics) == {"accuracy"}
    assert "system/cpu_utilization_percentage" in stored("below").data.metrics


def test_the_address_of_the_runs_opens_in_machine_learning_mode_with_scores_as_columns(mlflow_store: str) -> None:
    assert runs_address("http://h:1", "demo") == "http://h:1/#/experiments?workflowType=machine_learning"
    with tracking.run("one", experiment="demo", tags={}):
        pass
    experiment = stored("one").info.experiment_id
    address = runs_address("http://h:1", "demo")
    assert address.startswith(f"http://h:1/#/experiments/{experiment}/runs?workflowType=machine_learning&")
    key = address.rpartition("viewStateShareKey=")[2]
    view = json.loads(mlflow.get_experiment(experiment).tags[f"mlflow.sharedViewState.{key}"])
    assert {"params.`arm`", "metrics.`accuracy`", "metrics.`macro_f1`"} <= set(view["selectedColumns"])


def test_sampling_interval_suits_runs_of_a_few_seconds() -> None:
    assert float(os.environ["MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"]) <= 3


def test_folder_of_many_images_is_logged_as_one_archive(mlflow_store: str, tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / "lr" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "lr" / "a" / f"{number}.png").write_bytes(b"x")
    with tracking.run("archive", experiment="demo", tags={}) as run:
        run.folder(tmp_path / "lr")
    files = MlflowClient().list_artifacts(stored("archive").info.run_id)
    assert [file.path for file in files] == ["lr.zip"]


def test_nested_runs_are_children_of_their_parent(mlflow_store: str) -> None:
    with tracking.run("parent", experiment="demo", tags={}) as parent:
        for seed in (1, 2):
            with tracking.run(f"child {seed}", experiment="demo", tags={"seed": str(seed)}, parent=parent) as child:
                child.parameters({"seed": seed})
                child.metrics({"accuracy": seed / 4})
        parent.metrics({"accuracy": 0.375})
    outer = stored("parent")
    assert (outer.data.params, outer.data.metrics["accuracy"]) == ({}, 0.375)
    for seed in (1, 2):
        inner = stored(f"child {seed}")
        assert inner.data.tags["mlflow.parentRunId"] == outer.info.run_id
        assert inner.info.experiment_id == outer.info.experiment_id
        assert (inner.data.params, inner.data.metrics["accuracy"]) == ({"seed": str(seed)}, seed / 4)
        assert (inner.info.status, outer.info.status) == ("FINISHED", "FINISHED")


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_error_inside_goes_on_and_marks_the_run_and_its_parent(
    error: type[BaseException], status: str, mlflow_store: str
) -> None:
    with (
        pytest.raises(error),
        tracking.run("outer", experiment="demo", tags={}) as outer,
        tracking.run("inner", experiment="demo", tags={}, parent=outer),
    ):
        raise error
    assert (stored("outer").info.status, stored("inner").info.status) == (status, status)
    assert mlflow.active_run() is None


def test_a_signal_to_end_marks_the_run_as_killed_whatever_error_comes_of_it(mlflow_store: str) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with (
        pytest.raises(SystemExit),
        stopped_like_ctrl_c(),
        tracking.run("stopped", experiment="demo", tags={}),
    ):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise RuntimeError("the other processes are gone") from None
    signal.signal(signal.SIGTERM, before)
    assert stored("stopped").info.status == "KILLED"


@pytest.fixture
def waiting_run(mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The run that `mlflow run -P learning_rate=1e-4` would have made for this process."""
    experiment = mlflow.create_experiment("of the user")
    run = MlflowClient().create_run(experiment, run_name="made by mlflow run")
    MlflowClient().log_param(run.info.run_id, "learning_rate", "1e-4")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    return run.info.run_id


def test_under_mlflow_run_the_waiting_run_is_used(waiting_run: str, terminal: Terminal) -> None:
    with tracking.run("classify raw", experiment="demo", tags=TAGS, console=terminal.console) as run:
        run.parameters({"learning_rate": 0.0001, "epochs": 3})
        run.metrics({"accuracy": 0.5})
    found = mlflow.get_run(waiting_run)
    assert found.info.run_name == "made by mlflow run"
    assert found.info.status == "FINISHED"
    assert found.data.params == {"learning_rate": "1e-4", "epochs": "3"}
    assert found.data.metrics["accuracy"] == 0.5
    assert found.data.tags["arm"] == "raw"
    assert mlflow.get_experiment_by_name("demo") is None
    assert terminal.text == ""


def test_a_run_that_nobody_named_has_the_name_of_its_stage(mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = MlflowClient().create_run(mlflow.create_experiment("of the user"))
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    with tracking.run("classify raw", experiment="demo", tags=TAGS):
        pass
    assert mlflow.get_run(run.info.run_id).info.run_name == "classify raw"


def test_under_mlflow_run_nested_runs_are_runs_of_their_own(waiting_run: str, terminal: Terminal) -> None:
    with tracking.run("classify raw", experiment="demo", tags=TAGS, console=terminal.console) as run:
        with tracking.run("seed 1", experiment="demo", tags={}, parent=run, console=terminal.console) as child:
            child.metrics({"accuracy": 0.25})
        run.metrics({"accuracy": 0.5})
    outer, inner = mlflow.get_run(waiting_run), stored("seed 1")
    assert inner.info.run_id != waiting_run
    assert inner.data.tags["mlflow.parentRunId"] == waiting_run
    assert inner.info.experiment_id == outer.info.experiment_id
    assert (outer.data.metrics["accuracy"], inner.data.metrics["accuracy"]) == (0.5, 0.25)
    assert terminal.text == ""


def noise(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def work(terminal: Terminal, tmp_path: Path, between: Callable[[], None] | None = None) -> list[str]:
    """A stage in small: a run with a child, which logs all kinds of things. Returns what it got done."""
    done: list[str] = []
    (tmp_path / "file.txt").write_text("result")
    with tracking.run("outer", experiment="demo", tags=TAGS, console=terminal.console) as run:
        run.parameters({"a": 1})
        run.data(tmp_path / "file.txt", "abc", "demo")
        for seed in (1, 2):
            with tracking.run(f"seed {seed}", experiment="demo", tags={}, parent=run, console=terminal.console) as one:
                one.parameters({"seed": seed})
                one.metrics({"loss": 1.0}, step=1)
                if between is not None and seed == 1:
                    between()
                one.metrics({"loss": 1.0}, step=2)
                one.model(tmp_path / "file.txt", "classifier-raw-seed-1")
                done.append(f"seed {seed}")
        run.metrics({"accuracy": 1.0})
        run.file(tmp_path / "file.txt")
        done.append("all")
    return done


def test_server_that_cannot_be_reached_costs_one_warning_and_no_result(
    mlflow_store: str, tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    started = time.monotonic()
    assert work(terminal, tmp_path) == ["seed 1", "seed 2", "all"]
    assert time.monotonic() - started < 60
    assert re.findall("warning", terminal.text) == ["warning"]
    assert f"MLflow at http://127.0.0.1:{port} failed" in terminal.text
    assert mlflow.active_run() is None


def test_warning_does_not_hide_an_error_of_the_work(
    mlflow_store: str, tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with (
        pytest.raises(ValueError, match="mine"),
        tracking.run("outer", experiment="demo", tags={}, console=terminal.console),
    ):
        raise ValueError("mine")


@pytest.fixture
def tracking_server(mlflow_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BaseWSGIServer]:
    """MLflow's own server application on the test's store, in a thread."""
    from mlflow.server import app

    store = SqlAlchemyStore(mlflow_store, (tmp_path / "served").as_uri())
    monkeypatch.setattr("mlflow.server.handlers._tracking_store", store)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_server_that_dies_midway_costs_one_warning_and_no_result(
    tracking_server: BaseWSGIServer,
    mlflow_store: str,
    tmp_path: Path,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die() -> None:
        tracking_server.shutdown()
        tracking_server.server_close()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{tracking_server.port}")
    done = work(terminal, tmp_path, between=die)
    assert done == ["seed 1", "seed 2", "all"]
    assert re.findall("warning", terminal.text) == ["warning"]
    assert not MONITOR.isEnabledFor(logging.WARNING)  # MLflow's own thread keeps quiet, too
    assert mlflow.active_run() is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)  # the server's database, opened directly
    assert stored("outer").data.params == {"a": "1"}
    history = MlflowClient().get_metric_history(stored("seed 1").info.run_id, "loss")
    assert [metric.step for metric in history] == [1]


def open_run(tags: dict[str, str]) -> str:
    """A run that nobody has ended; its id."""
    experiment = MlflowClient().get_experiment_by_name("demo")
    number = experiment.experiment_id if experiment is not None else MlflowClient().create_experiment("demo")
    return str(MlflowClient().create_run(number, tags=tags).info.run_id)


def test_runs_of_a_killed_process_are_ended_at_the_next_start_in_their_experiment(mlflow_store: str) -> None:
    here, dead = this_process(), json.dumps([this_process()[0], this_process()[1], 1.0])
    killed = [open_run({**TAGS, "process": dead}), open_run({**TAGS, "arm": "bicubic", "process": dead})]
    untouched = [
        open_run({**TAGS, "process": json.dumps(here)}),
        open_run({**TAGS, "process": json.dumps(["another host", 1, 1.0])}),
        open_run(TAGS),
    ]
    with tracking.run("next", experiment="demo", tags=TAGS):
        pass
    assert {mlflow.get_run(run).info.status for run in killed} == {"KILLED"}
    assert {mlflow.get_run(run).info.status for run in untouched} == {"RUNNING"}
    assert stored("next").info.status == "FINISHED"


def test_runs_below_that_of_another_process_share_its_experiment_and_one_warning(
    mlflow_store: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    above = open_run({})
    parent = tracking.existing_run(above, terminal.console)
    with tracking.run("below", experiment="another", tags={}, parent=parent, console=terminal.console) as run:
        run.metrics({"accuracy": 0.5})
    assert stored("below").data.tags["mlflow.parentRunId"] == above
    assert stored("below").info.experiment_id == mlflow.get_run(above).info.experiment_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for _ in range(3):
        with tracking.run("lost", experiment="demo", tags={}, parent=parent, console=terminal.console) as run:
            assert run.lost
    assert terminal.text.count("warning") == 1


def test_the_warning_shows_no_password_and_says_what_to_do(
    mlflow_store: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with tracking.run("lost", experiment="demo", tags={}, remedy="Call somebody.", console=terminal.console):
        pass
    assert "http://me@127.0.0.1:9 failed" in terminal.text and "secret" not in terminal.text
    assert terminal.text.endswith("is not logged. Call somebody.\n")


def test_an_experiment_that_was_deleted_is_named_with_the_remedy(mlflow_store: str, terminal: Terminal) -> None:
    open_run({})
    client = mlflow.MlflowClient()
    deleted = client.get_experiment_by_name("demo")
    assert deleted is not None
    client.delete_experiment(deleted.experiment_id)
    with tracking.run("lost", experiment="demo", tags={}, console=terminal.console) as run:
        assert run.lost
    assert f"`mlflow experiments restore --experiment-id {deleted.experiment_id}`" in terminal.text
    client.restore_experiment(deleted.experiment_id)
    with tracking.run("kept", experiment="demo", tags={}, console=terminal.console) as run:
        assert not run.lost


def test_nothing_is_sent_to_anybody_else() -> None:
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()
