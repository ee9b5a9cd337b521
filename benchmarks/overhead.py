"""What the pipeline itself costs: a `dvc repro` that has nothing to do, MLflow logging, a sweep around its trials."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console

from benchmarks.images import ROOT, SIZE, image_set, published_params
from benchmarks.measure import Options, Row, quartiles, seconds_of

REPRO_GOAL, LOGGING_GOAL, TRIAL_GOAL = 10, 2, 5


def run(options: Options) -> list[Row]:
    """A row each; the first only where the study in the workspace is finished."""
    return [*_no_op_repro(options), _logging(options), _trials(options)]


def _no_op_repro(options: Options) -> list[Row]:
    if not _finished():
        print("overhead: the study in params.yaml is not finished here, so a `dvc repro` without work is left out")
        return []
    times = [seconds_of(lambda: _dvc("repro")) for _ in range(options.pick(3, 1) + 1)][1:]
    study = published_study()
    goal = f"ours <= {REPRO_GOAL}"
    median, name = float(np.median(times)), f"dvc repro with nothing to do, study {study}"
    return [Row("overhead", name, "s", None, median, None, quartiles(times), goal, len(times))]


def _finished() -> bool:
    """Whether DVC would run nothing; data sets of other studies (*.dvc) may be missing."""
    result = _dvc("status", "--json", check=False)
    if result.returncode:
        return False
    return all(name.endswith(".dvc") for name in json.loads(result.stdout))


def _dvc(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", *arguments]
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # stages call `leukosr`
    environment = {**os.environ, "PATH": folders}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=check)


def published_study() -> str:
    """The name of the study that the workspace holds."""
    from leukosr.config import load_params

    return load_params(ROOT / "params.yaml").study.name


def _logging(options: Options) -> Row:
    """Seconds in MLflow's calls of one epoch, as a share of a real epoch of the classifier."""
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path(temporary) / 'mlflow.db'}"
        os.chdir(temporary)  # MLflow puts its artifacts into the working directory; this process is ours alone
        count, epochs = options.pick(64, 16), options.pick(4, 2)
        logged, trained, around = _train_with_mlflow(Path(temporary), count, epochs)
        os.chdir(ROOT)
    shares = [100 * log / epoch for log, epoch in zip(logged, trained, strict=True)]
    note = (
        f"an epoch of {count} images, {np.median(trained):.1f} s; studies have longer ones. Opening and closing a run "
        f"takes {around:.2f} s, once a seed. Artifacts, the logged model and a thread that samples system metrics are "
        "not counted"
    )
    name, goal = "MLflow logging, share of a training epoch", f"ours <= {LOGGING_GOAL}"
    return Row("overhead", name, "%", None, float(np.median(shares)), None, quartiles(shares), goal, epochs, note)


def _train_with_mlflow(folder: Path, count: int, epochs: int) -> tuple[list[float], list[float], float]:
    """Seconds of each epoch's logging and of each epoch, and those of opening and closing the run."""
    from benchmarks.resnet50 import build, labels_of
    from leukosr import tracking
    from leukosr.engine.device import choose_device
    from leukosr.engine.resume import Resume
    from leukosr.tracking.classifier_record import log_epoch

    settings = published_params(f"classifier.epochs={epochs}").classifier
    files = image_set(folder / "set", count)
    training = build(settings, files, labels_of(files), choose_device("auto"))
    logged: list[float] = []
    rows: list[dict[str, Any]] = []
    started = time.perf_counter()
    with tracking.run("benchmark", experiment="benchmark", tags={}) as tracked:
        tracked.parameters(settings.model_dump())
        opened = time.perf_counter()

        def report(row: dict[str, Any]) -> None:
            rows.append(row)
            logged.append(seconds_of(lambda: log_epoch(tracked, row)))

        training.run(Resume("none", float("inf"), folder), report)
        closing = time.perf_counter()
    around = opened - started + time.perf_counter() - closing
    return logged, [row["seconds"] for row in rows], around


def _trials(options: Options) -> Row:
    """What comes between the trainings of a sweep's trials, as a share of a trial's training and prediction."""
    images, trials = options.pick(256, 16), options.pick(5, 3)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path(temporary) / 'mlflow.db'}"
        os.environ["LEUKOSR_OPTUNA_STORAGE"] = f"sqlite:///{Path(temporary) / 'optuna.db'}"
        os.chdir(temporary)
        whole, begun, ended = _sweep(images, trials)
        os.chdir(ROOT)
    within = [end - begin for begin, end in zip(begun, ended, strict=True)]
    between = [begin - end for begin, end in zip(begun[1:], ended, strict=False)]
    shares = [100 * seconds / float(np.median(within)) for seconds in between]
    around = whole - (ended[-1] - begun[0])
    note = (
        f"{np.median(between):.2f} s between trainings of {np.median(within):.1f} s (one epoch of {images} images, "
        f"network and storages included); {around:.1f} s once for reading images, opening the storages and figures"
    )
    name, goal = "a sweep's trial beside its training", f"ours <= {TRIAL_GOAL}"
    return Row("overhead", name, "%", None, float(np.median(shares)), None, quartiles(shares), goal, len(shares), note)


def _sweep(images: int, trials: int) -> tuple[float, list[float], list[float]]:
    """Seconds of a sweep in the working directory; when each training began and when its predictions were there."""
    from benchmarks.resnet50 import labels_of
    from leukosr.classify import subject
    from leukosr.classify.trainer import ClassifierTraining, predict
    from leukosr.data.manifest import Row as Image
    from leukosr.data.manifest import write_manifest
    from leukosr.images.reading import read_rgb, write_png
    from leukosr.layout import Layout, image_file
    from leukosr.stages import sweep
    from leukosr.stages.context import Context

    params = published_params(
        "arms=[raw]", "claims=null", "sweep.learning_rates=[0.001]", f"sweep.runs={trials}", "sweep.epochs=1"
    )
    layout = Layout(params.study.name)
    files = image_set(Path("set"), images)
    rows = []
    for place, (file, label) in enumerate(zip(files, labels_of(files), strict=True)):
        role = "classifier_test" if place % 4 == 0 else "classifier_train"
        rows.append(Image(f"{place:05d}", str(file), f"class {label}", "", *SIZE[::-1], {"paper": role}))
        write_png(image_file(layout.arm("raw"), rows[-1].id), read_rgb(file))
    write_manifest(layout.manifest, rows)
    begun: list[float] = []
    ended: list[float] = []
    train = ClassifierTraining.run

    def timed_run(self: ClassifierTraining, *rest: Any) -> None:
        begun.append(time.perf_counter())
        train(self, *rest)

    def timed_predict(*rest: Any) -> np.ndarray:
        said = predict(*rest)
        ended.append(time.perf_counter())
        return said

    with patch.object(ClassifierTraining, "run", timed_run), patch.object(subject, "predict", timed_predict):
        whole = seconds_of(lambda: sweep.run(Context(params, layout, Console(quiet=True))))
    return whole, begun, ended
