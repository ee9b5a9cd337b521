"""Several processes train as one does: the same losses, the same files, one voice."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import psutil
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tests.patience import PATIENCE
from torch import nn

from leukosr.config import Params
from leukosr.engine.processes import ALONE, Processes
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.outputs import MARKER
from leukosr.stages import train_sr as train_sr_stage
from leukosr.stages.context import Context

from .conftest import LEUKOSR, TINY, TORCHRUN, TRAIN, environment, start, write_params
from .distributed_trainings import CUT_TRAININGS, PARTS, TRAININGS, normalise, train_classifier, train_sr

TOLERANCE = {"srgan": 1e-4, "real_esrgan": 1e-4, "resnet50": 2e-2, "resnet50 in double precision": 1e-6}
SCRIPT = Path(__file__).with_name("distributed_trainings.py")


@dataclass(frozen=True)
class Both:
    """What one process and two found; `resumed` is what one process made of states that two had saved.

    `gradients` are those of one process and of the two, at the step where the cut ones stopped.
    """

    one: dict[str, Any]
    two: dict[int, Any]
    resumed: dict[str, Any]
    gradients: dict[str, list[Any]]


@pytest.fixture(scope="module")
def both(compose_params: Callable[..., Params], tmp_path_factory: pytest.TempPathFactory) -> Both:
    """All trainings by one process and by two, whole, and cut by one number of processes and resumed by the other."""
    folder, params = tmp_path_factory.mktemp("both"), compose_params(*TINY)
    (folder / "out").mkdir()
    cut = {name: train(params, folder / "start") for name, train in CUT_TRAININGS.items()}
    script = [sys.executable, str(SCRIPT), write_params(folder, params, devices=2), "start", "out"]
    with subprocess.Popen(script, cwd=folder, env=environment(), text=True, stderr=subprocess.PIPE) as process:
        one = {name: train(params, folder / "unused") for name, train in TRAININGS.items()}
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 0, said
    two = {rank: json.loads((folder / "out" / f"rank-{rank}.json").read_text()) for rank in (0, 1)}
    resumed = {name: train(params, folder / "out") for name, train in TRAININGS.items()}
    gradients = {n: [one, *(torch.load(folder / "out" / f"{n}-{r}.pt") for r in (0, 1))] for n, one in cut.items()}
    return Both(one, two, resumed, gradients)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_same_rows(rows: list[dict[str, Any]], expected: list[dict[str, Any]], tolerance: float) -> None:
    assert len(rows) == len(expected) > 0
    for row, wanted in zip(rows, expected, strict=True):
        assert row.keys() == wanted.keys()
        for name, value in wanted.items():
            found = row[name]
            assert found == (pytest.approx(value, rel=tolerance) if isinstance(value, float) else value), name


@pytest.mark.slow
@pytest.mark.pipeline
@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_have_the_losses_of_one(name: str, both: Both) -> None:
    assert both.two[0]["processes"] == 2
    assert_same_rows(both.two[0][name], both.one[name], TOLERANCE[name])


@pytest.mark.slow
@pytest.mark.pipeline
@pytest.mark.parametrize("name", CUT_TRAININGS)
def test_two_processes_have_the_gradients_of_one(name: str, both: Both) -> None:
    for one, *two in zip(*both.gradients[name], strict=True):
        assert torch.equal(*two)
        assert float((one - two[0]).norm() / one.norm()) < 10 * TOLERANCE[name]


@pytest.mark.slow
@pytest.mark.pipeline
@pytest.mark.parametrize("name", TRAININGS)
def test_training_cut_by_one_process_is_resumed_by_two(name: str, both: Both) -> None:
    assert_same_rows(both.two[0][f"{name} resumed"], both.one[name], TOLERANCE[name])


@pytest.mark.slow
@pytest.mark.pipeline
@pytest.mark.parametrize("name", TRAININGS)
def test_training_cut_by_two_processes_is_resumed_by_one(name: str, both: Both) -> None:
    assert_same_rows(both.resumed[name], both.one[name], TOLERANCE[name])


@pytest.mark.slow
@pytest.mark.pipeline
@pytest.mark.parametrize("parts", PARTS)
def test_batch_norm_over_two_processes_is_that_of_the_whole_batch(parts: str, both: Both) -> None:
    whole, found = normalise(nn.BatchNorm2d(3), slice(None)), [both.two[rank][parts] for rank in (0, 1)]
    for name in ("output", "x"):
        torch.testing.assert_close(torch.tensor(found[0][name] + found[1][name]), torch.tensor(whole[name]))
    for name in ("weight", "bias"):  # each process has the gradient of its own part
        total = torch.tensor(found[0][name]) + torch.tensor(found[1][name])
        torch.testing.assert_close(total, torch.tensor(whole[name]))
    for name in ("mean", "var", "after"):
        assert found[0][name] == found[1][name]
        torch.testing.assert_close(torch.tensor(found[0][name]), torch.tensor(whole[name]))


@pytest.mark.slow
def test_alone_nothing_is_wrapped_and_no_launcher_is_loaded(compose_params: Callable[..., Params]) -> None:
    network = nn.Sequential(nn.BatchNorm2d(3))
    assert ALONE.synchronised(network) is network and ALONE.parallel(network) is network
    assert type(network[0]) is nn.BatchNorm2d
    assert ALONE.share(7) == slice(0, 7)
    code = "import sys, leukosr.stages.train_sr, leukosr.stages.classify; sys.exit('lightning_fabric' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 12])
def test_shares_are_contiguous_and_make_up_the_batch(size: int) -> None:
    parts = [range(size)[Processes(rank, 3).share(size)] for rank in range(3)]
    assert [number for part in parts for number in part] == list(range(size))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(("batch", "allowed"), [(7, "6 or 9"), (2, "3")])
def test_batch_that_cannot_be_shared_equally_is_refused(
    batch: int, allowed: str, compose_params: Callable[..., Params]
) -> None:
    params, three = compose_params(*TINY), Processes(0, 3)
    key = rf"= {batch}: .* 3 processes, .* multiple of 3: use {allowed}$"
    with pytest.raises(LeukoError, match=rf"^train_sr\.srgan\.batch {key}"):
        method = params.train_sr["srgan"].model_copy(update={"batch": batch})
        train_sr("srgan", params.model_copy(update={"train_sr": {"srgan": method}}), Path(), three)
    with pytest.raises(LeukoError, match=rf"^classifier\.batch {key}"):
        classifier = params.classifier.model_copy(update={"batch": batch})
        train_classifier(params.model_copy(update={"classifier": classifier}), Path(), three)


@pytest.mark.slow
@pytest.mark.pipeline
def test_torchrun_trains_by_the_command_line(
    study: Path, compose_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    params = compose_params(*TINY)
    process = start(study, *TORCHRUN, *TRAIN, write_params(study, params), "--out", "two")
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert output.count("train_sr srgan: 4 iterations") == 1, "one process speaks"
    monkeypatch.chdir(study)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{study / 'mlflow.db'}")
    train_sr_stage.run(Context(params, Layout("demo"), Console(file=io.StringIO()), Path("one")), "srgan")
    one, two = (json.loads((study / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert (one.pop("processes"), two.pop("processes")) == (1, 2)
    assert one.keys() == two.keys()
    assert two["last_val_psnr"] == pytest.approx(one["last_val_psnr"], rel=1e-4)
    written = {path.name for path in (study / "two").iterdir()} - {MARKER}
    assert written == {path.name for path in (study / "one").iterdir()}
    names = [load_file(study / name / "last.safetensors").keys() for name in ("one", "two")]
    assert names[0] == names[1]
    runs = mlflow.tracking.MlflowClient(f"sqlite:///{study / 'mlflow.db'}").search_runs(["1"])
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"], "one run a training"


@pytest.mark.slow
@pytest.mark.pipeline
def test_data_stages_share_the_images_out_and_write_the_same_bytes(
    study: Path, compose_params: Callable[..., Params]
) -> None:
    params = write_params(study, compose_params(*TINY))
    commands = {"prepare": [], "degrade": [], "quality": ["--arm", "raw"]}
    for stage, arguments in commands.items():
        said = []
        for launcher in (LEUKOSR, TORCHRUN):
            out = f"{stage} {len(launcher)}"
            process = start(study, *launcher, stage, *arguments, "--params", params, "--out", out)
            output, errors = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, errors
            said.append(output.count(f"{stage}"))
        one, two = (digests(study / f"{stage} {len(launcher)}") for launcher in (LEUKOSR, TORCHRUN))
        assert one == two and one, stage
        assert said[0] == said[1], "one process speaks"


@pytest.mark.slow
@pytest.mark.pipeline
def test_params_start_the_processes_of_a_classifier(study: Path, compose_params: Callable[..., Params]) -> None:
    params = write_params(study, compose_params(*TINY), devices=2)
    process = start(study, *LEUKOSR, "classify", "--arm", "raw", "--params", params, "--out", "classified")
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert output.count("classify raw (paper): accuracy") == 1
    assert "Traceback" not in errors
    metrics = json.loads((study / "classified" / "metrics.json").read_text())
    assert (metrics["processes"], metrics["n_runs"]) == (2, 1)
    assert len((study / "classified" / "history.csv").read_text().splitlines()) == 3


@pytest.mark.slow
@pytest.mark.pipeline
@pytest.mark.parametrize("devices", [1, 2], ids=["torchrun", "params"])
def test_mistake_is_told_once_and_ends_all(devices: int, study: Path, compose_params: Callable[..., Params]) -> None:
    params = write_params(study, compose_params(*TINY, "train_sr.srgan.batch=3"), devices=devices)
    launcher = TORCHRUN if devices == 1 else LEUKOSR
    process = start(study, *launcher, *TRAIN, params, "--out", "failed")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert errors.count("error: train_sr.srgan.batch = 3: ") == 1, errors
    assert not re.search(r"File \".*src/leukosr/", errors), "no traceback of ours"
    assert not (study / "failed").exists()


@pytest.mark.slow
@pytest.mark.pipeline
def test_the_first_process_cleans_up_after_another_has_failed(
    tmp_path: Path, compose_params: Callable[..., Params]
) -> None:
    params = write_params(tmp_path, compose_params(*TINY), devices=2)
    process = start(tmp_path, sys.executable, str(SCRIPT.with_name("failing.py")), params)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, errors
    assert errors.count("RuntimeError: out of luck") == 1
    assert (tmp_path / "cleaned").exists()


@pytest.mark.slow
@pytest.mark.pipeline
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_end_ends_all_processes_and_is_answered_once(
    number: signal.Signals, code: int, study: Path, compose_params: Callable[..., Params]
) -> None:
    shutil.rmtree(study / ".leukosr", ignore_errors=True)
    params = write_params(
        study, compose_params(*TINY, "train_sr.srgan.stages.0.iterations=100000"), devices=2, checkpoint_seconds=0
    )
    process = start(study, *LEUKOSR, *TRAIN, params, "--out", "cut")
    deadline = time.monotonic() + PATIENCE
    while not list(study.glob(".leukosr/resume/*/sr.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    others = psutil.Process(process.pid).children()
    assert len(others) == 1
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, errors
    assert errors.count("interrupted") == 1
    assert "Traceback" not in errors
    assert not any(other.is_running() for other in others)
    assert not (study / "cut").exists()
    assert list(study.glob(".leukosr/resume/*/sr.pt"))
    (run,) = mlflow.tracking.MlflowClient(f"sqlite:///{study / 'mlflow.db'}").search_runs(
        ["1"], order_by=["attributes.start_time DESC"], max_results=1
    )
    assert run.info.status == "KILLED"
