"""Work that is cut leaves nothing half-written, and goes on where it was."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from .conftest import Clone, has_workers, stages_run

pytestmark = pytest.mark.pipeline

TRAINING, WEIGHTS, ITERATIONS = "train_sr@real_esrgan", "outputs/demo/sr/real_esrgan", 24
COMMANDS = {
    "prepare": ["prepare"],
    "degrade": ["degrade"],
    "upscale": ["upscale", "--arm", "srgan"],
    "classify": ["classify", "--arm", "raw"],
}


@pytest.mark.slow
def test_a_training_cut_twice_resumes_to_the_same_weights(finished: Clone, clone: Clone) -> None:
    forget(clone, TRAINING)
    known = {run.info.run_id for run in clone.runs()}
    done, before = 0, []
    for by in (signal.SIGINT, signal.SIGKILL):

        def further(pid: int, done: int = done) -> bool:
            return iteration(clone) > done + 1

        code, output = clone.interrupted("dvc", "repro", TRAINING, when=further, by=by)
        assert code != 0 and done < iteration(clone) < ITERATIONS, output
        assert not (clone.root / WEIGHTS).exists()
        done, before = iteration(clone), state(clone)["history"]

    assert before
    assert stages_run(clone.run("dvc", "repro", TRAINING)) == {TRAINING}
    for name in ("last.safetensors", "best.safetensors"):
        whole, resumed = (load_file(place.root / WEIGHTS / name) for place in (finished, clone))
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(whole[key], resumed[key]) for key in whole), name
    assert clone.hidden() == []
    assert not list((clone.root / ".leukosr/resume").iterdir())
    runs = [run for run in clone.runs() if run.info.run_id not in known]
    assert [run.info.status for run in runs][0::2] == ["KILLED", "FINISHED"] and len(runs) == 3
    history = pd.read_csv(clone.root / WEIGHTS / "history.csv")
    seconds = [row["seconds"] for row in before]
    assert history["seconds"].tolist()[: len(seconds)] == seconds, "the last run went on, it did not begin anew"
    assert steps(clone, runs[-1].info.run_id) == history["iteration"].tolist(), "its curves are whole all the same"


@pytest.mark.parametrize(
    ("stage", "by"),
    [
        ("upscale", signal.SIGINT),
        ("upscale", signal.SIGHUP),
        *(pytest.param(stage, signal.SIGINT, marks=pytest.mark.slow) for stage in COMMANDS if stage != "upscale"),
        pytest.param("prepare", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_stage_that_is_interrupted_leaves_the_former_output_and_nothing_half_written(
    clone: Clone, stage: str, by: signal.Signals
) -> None:
    if stage == "prepare":
        clone.edit_params({"runtime.workers": 2})
    before = clone.run("git", "hash-object", "dvc.lock")

    def working(pid: int) -> bool:
        return has_workers(pid) if stage == "prepare" else bool(clone.hidden())

    code, output = clone.interrupted("leukosr", *COMMANDS[stage], when=working, by=by)
    if code == 0:
        pytest.skip("the stage was done before the signal came")
    assert code in (128 + by, -by), output
    assert clone.hidden() == []
    assert "Traceback" not in output
    assert clone.changed_stages() == set(), "the finished output is still in place"
    assert clone.run("git", "hash-object", "dvc.lock") == before
    if stage in ("prepare", "degrade"):
        clone.run("leukosr", *COMMANDS[stage])
        assert clone.changed_stages() == set()


def test_what_a_killed_stage_left_is_cleared_by_the_next(clone: Clone) -> None:
    forget(clone, "upscale@srgan")
    code, output = clone.interrupted(
        "leukosr", "upscale", "--arm", "srgan", when=lambda pid: bool(clone.hidden()), by=signal.SIGKILL
    )
    assert code == -signal.SIGKILL and clone.hidden(), output
    clone.run("dvc", "repro", "upscale@srgan")
    assert clone.hidden() == []


def iteration(clone: Clone) -> int:
    """How far the saved state of the cut training is; 0 where there is none."""
    return state(clone)["iteration"]


def state(clone: Clone) -> dict[str, Any]:
    """The progress that the cut training has saved."""
    states = list((clone.root / ".leukosr/resume").glob("*/sr.pt"))
    if not states:
        return {"iteration": 0, "history": []}
    progress: dict[str, Any] = torch.load(states[0], weights_only=True)["progress"]
    return progress


def forget(clone: Clone, stage: str) -> None:
    """Make DVC forget that it ever ran a stage, and remove its outputs."""
    file = clone.root / "dvc.lock"
    lock = yaml.safe_load(file.read_text())
    for output in lock["stages"].pop(stage)["outs"]:
        shutil.rmtree(clone.root / output["path"])
    file.write_text(yaml.safe_dump(lock))
    shutil.rmtree(clone.root / ".dvc/cache/runs")


def steps(clone: Clone, run_id: str) -> list[int]:
    """The iterations that MLflow has of a run, in order."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{Path(clone.root) / 'mlflow.db'}")
    return sorted(metric.step for metric in client.get_metric_history(run_id, "loss_generator"))
