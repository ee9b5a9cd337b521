"""`leukosr doctor` says what there is, and each problem comes with its remedy."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from typer.testing import CliRunner

from leukosr import doctor
from leukosr.cli import app
from leukosr.doctor import machine, project
from leukosr.doctor.diagnosis import Diagnosis
from leukosr.engine.precision import bf16_is_native

PROJECT = Path(__file__).resolve().parent.parent
MEASURED = machine._bf16_speedup
KEYS = {"cpu_capability", "bf16_native", "precision", "threads", "device", "memory_gib", "disk_free_gib", "problems"}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The parts of the project that doctor reads, as after `git clone`, as the working directory."""
    for name in ("params.yaml", "dvc.lock", "data.dvc", "requirements.txt"):
        shutil.copyfile(PROJECT / name, tmp_path / name)
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "LEUKOSR_OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("leukosr.doctor.project.shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(project, "git_commit", lambda: "0" * 40)
    monkeypatch.setattr(machine, "_bf16_speedup", lambda: 2.0)
    monkeypatch.setattr(machine, "DRIVER", tmp_path / "no driver")
    for least in ("LEAST_MEMORY_GIB", "LEAST_DISK_GIB"):
        monkeypatch.setattr(machine, least, 0)  # whatever room there is where the tests run
    return tmp_path


def problems() -> list[str]:
    """What doctor finds wrong; every problem has a remedy."""
    found = doctor.examine().problems
    assert all(each.remedy for each in found)
    return [f"{each.what} | {each.remedy}" for each in found]


def test_a_fresh_clone_has_no_problem(clone: Path) -> None:
    assert problems() == []


def test_programs_read_json(clone: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found.keys() >= KEYS
    assert found["precision"] == ("bf16" if found["bf16_native"] else "fp32")
    assert found["threads"] == 1
    assert found["lock"]["fits"]


def test_people_read_lines(clone: Path) -> None:
    Path("mlflow.db").write_text("no database")
    result = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "auto means" in result.stdout
    assert "problem: MLflow's database mlflow.db does not open" in result.stdout
    assert "remedy: move mlflow.db away" in result.stdout


@pytest.mark.parametrize(
    ("native", "speedup", "words"),
    [
        (False, None, "auto means fp32 here: no bf16 instructions that torch could use"),
        (True, 4.1, "auto means bf16 here; a convolution is 4.1 times as fast in bf16 as in fp32"),
        (True, None, "auto means bf16 here"),  # CUDA
    ],
)
def test_what_auto_means_is_told_with_what_it_brings(native: bool, speedup: float | None, words: str) -> None:
    facts = {"precision": "bf16" if native else "fp32", "bf16_native": native, "bf16_speedup": speedup}
    assert doctor._precision_words(facts).endswith(words)


def test_the_gain_by_bf16_is_measured_where_it_is_native(clone: Path) -> None:
    facts = doctor.examine().facts
    measured = facts["bf16_native"] and facts["device"] == "cpu"
    assert facts["bf16_speedup"] == (2.0 if measured else None)


@pytest.mark.skipif(not bf16_is_native(torch.device("cpu")), reason="without bf16 instructions it takes seconds")
def test_a_bf16_that_takes_half_the_time_is_twice_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    # an hour passes in fp32 and half of one in bf16, which are timed in turn
    times = (hours for turn in range(100) for hours in (2.5 * turn, 2.5 * turn + 1, 2.5 * turn + 1, 2.5 * turn + 1.5))
    monkeypatch.setattr(machine, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    assert MEASURED() == 2.0


@pytest.mark.parametrize(("speedup", "found"), [(0.62, 1), (0.97, 0), (1.4, 0)])
def test_bf16_that_is_slower_than_fp32_is_a_problem(
    clone: Path, monkeypatch: pytest.MonkeyPatch, speedup: float, found: int
) -> None:
    monkeypatch.setattr("leukosr.engine.precision.bf16_is_native", lambda device: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "_bf16_speedup", lambda: speedup)
    slow = "bf16 computes a convolution at 0.62 times the speed of fp32 on this processor"
    remedy = "add -S budget.precision=fp32 to `dvc exp run`"
    assert problems() == [f"{slow} | {remedy}"] * found
    text = Path("params.yaml").read_text()
    assert "precision: auto" in text
    Path("params.yaml").write_text(text.replace("precision: auto", "precision: fp32"))
    assert not any("bf16" in each for each in problems()), "a study in fp32 does not mind"


def test_parameters_that_are_wrong_are_named(clone: Path) -> None:
    text = Path("params.yaml").read_text().replace("scale: 4", "scale: 5")
    Path("params.yaml").write_text(text)
    assert any("image.scale = 5" in each for each in problems())


def test_a_backbone_that_nobody_has_is_named(clone: Path) -> None:
    found = re.sub(r"backbone: \w+", "backbone: resnet5", Path("params.yaml").read_text())
    Path("params.yaml").write_text(found)
    assert any("backbone: 'resnet5' is not a supported classifier" in each for each in problems())


def test_other_parameters_than_those_of_the_lock_are_named(clone: Path) -> None:
    text = Path("params.yaml").read_text().replace("jpeg_quality: 70", "jpeg_quality: 71")
    Path("params.yaml").write_text(text)
    assert problems() == [], "nothing was run here yet"
    Path("datasets/demo").mkdir(parents=True)
    (found,) = problems()
    assert "other parameters than params.yaml for degrade" in found
    assert "dvc repro" in found


def test_results_of_which_some_are_missing_are_named(clone: Path) -> None:
    Path("datasets/demo").mkdir(parents=True)
    (found,) = problems()
    assert "of dvc.lock are missing" in found
    assert "dvc checkout" in found


def test_a_damaged_lock_is_named(clone: Path) -> None:
    Path("dvc.lock").write_text("stages: [")
    (found,) = problems()
    assert "dvc.lock cannot be read" in found


def test_missing_images_come_with_the_command_that_brings_them(clone: Path) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["synthesize"], params["prepare"]["root"] = {}, "datasets/mine"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    assert any("leukosr data add mine PATH" in each for each in problems())


def test_missing_weights_come_with_the_command_that_brings_them(clone: Path) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    recipe = params["classify"]["raw"]["classifier"]
    recipe["weights"], recipe["reads"] = "pretrained/resnet50_v1", "pretrained/resnet50_v1.safetensors"
    params["sweep"]["reads"] = recipe["reads"]
    Path("params.yaml").write_text(yaml.safe_dump(params))
    found = [each for each in problems() if "dvc.lock" not in each]
    assert len(found) == 1
    assert "pretrained/resnet50_v1.safetensors is not here: run `leukosr weights fetch resnet50_v1`" in found[0]


def test_rows_of_local_databases_are_counted(clone: Path) -> None:
    with sqlite3.connect("mlflow.db") as connection:
        connection.execute("CREATE TABLE runs (id)")
        connection.execute("INSERT INTO runs VALUES (1), (2)")
    assert doctor.examine().facts["mlflow"] == {"uri": "sqlite:///mlflow.db", "there": True, "runs": 2}


def test_servers_are_not_asked(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert doctor.examine().facts["mlflow"] == {"uri": "http://127.0.0.1:9", "there": None}


def test_what_the_shell_has_left_is_named(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123")
    monkeypatch.setenv("OMP_NUM_THREADS", str(1000 * (os.cpu_count() or 1)))
    found = problems()
    assert any("unset MLFLOW_RUN_ID" in each for each in found)
    assert any("OMP_NUM_THREADS" in each for each in found)


def test_commands_that_the_pipeline_calls_are_looked_for(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukosr.doctor.project.shutil.which", lambda name: None)
    assert any("leukosr, dvc, git not found on PATH" in each for each in problems())


def test_other_versions_than_the_pinned_ones_are_named(clone: Path) -> None:
    text = Path("requirements.txt").read_text().replace("optuna==", "optuna==99.")
    Path("requirements.txt").write_text(text)
    (found,) = problems()
    assert "optuna" in found
    assert "make setup" in found


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("LEAST_MEMORY_GIB", 10**6, "GiB of memory are free"), ("LEAST_DISK_GIB", 10**9, "GiB of disk are free")],
)
def test_too_little_room_is_named(
    name: str, value: int, words: str, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, name, value)
    assert any(words in each for each in problems())


def test_the_memory_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (
        ("max", f"{2**30}\n"),
        ("current", f"{3 * 2**28}\n"),
        ("stat", f"file 5\ninactive_file {2**28}\n"),
    ):
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    found = Diagnosis()
    machine._room(found)
    assert found.facts["memory_gib"] == 1.0
    assert found.facts["memory_free_gib"] == 0.5  # three quarters are used, one of them by files that can go


def test_a_driver_without_a_device_that_torch_finds_is_named(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    driver = tmp_path / "version"
    driver.write_text("NVRM version: 470.1\nmore")
    monkeypatch.setattr(machine, "DRIVER", driver)
    assert any("NVRM version: 470.1" in each for each in problems())


def test_an_explicit_bf16_without_hardware_is_named(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukosr.engine.precision.bf16_is_native", lambda device: False)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["classify"]["raw"]["classifier"]["precision"] = "bf16"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    assert any("set budget.precision to auto" in each for each in problems())


def test_passwords_are_not_shown(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hunter2@host/mlflow?token=hunter2")
    monkeypatch.setenv("LEUKOSR_OPTUNA_STORAGE", "postgresql://host/db?user=me&password=hunter2")
    for command in (["doctor"], ["doctor", "--json"]):
        shown = CliRunner().invoke(app, command).stdout
        assert "host" in shown
        assert "hunter2" not in shown


@pytest.mark.parametrize("content", ["stages:\n  a:\n", "<<<<<<< HEAD\n", "", "stages: {a: {outs: [1]}}"])
def test_no_damage_of_the_lock_stops_doctor(content: str, clone: Path) -> None:
    Path("dvc.lock").write_text(content)
    (found,) = problems()
    assert "dvc.lock cannot be read" in found


def test_local_stores_are_looked_for(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("j.log").touch()
    monkeypatch.setenv("LEUKOSR_OPTUNA_STORAGE", "journal:j.log")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    facts = doctor.examine().facts
    assert facts["optuna"] == {"storage": "journal:j.log", "there": True}
    assert facts["mlflow"] == {"uri": "./mlruns", "there": False}
