"""A tiny study that several processes train on, and how they are started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.small_study import CELLS, make_study

from leukosr.config import Params

SIZES = {
    "srgan": {
        "generator.features": 4,
        "generator.blocks": 1,
        "discriminator.features": 2,
        "patch": 64,
        "batch": 4,
        "stages.0.iterations": 4,
        "validate_every": 1,
    },
    "real_esrgan": {
        "generator.features": 4,
        "generator.blocks": 1,
        "generator.growth": 2,
        "discriminator.features": 4,
        "patch": 64,
        "batch": 4,
        "stages.0.iterations": 3,
        "stages.1.iterations": 3,
        "validate_every": 1,
    },
}
TINY = (
    *CELLS, "arms=[raw,srgan,real_esrgan]", "study.seeds=[1]", "classifier.learning_rate=1e-4", "budget.precision=fp32",
    "train_sr.real_esrgan.losses.perceptual=0.0",
    *(f"train_sr.{name}.{key}={value}" for name, sizes in SIZES.items() for key, value in sizes.items()),
)  # fmt: skip
LEUKOSR = (sys.executable, "-m", "leukosr")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "leukosr")
TRAIN = ("train-sr", "--method", "srgan", "--params")


def write_params(folder: Path, params: Params, **runtime: Any) -> str:
    """A params.yaml with other settings of `runtime`; its path."""
    changed = params.model_copy(update={"runtime": params.runtime.model_copy(update=runtime)})
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(changed.model_dump(mode="json"), sort_keys=False))
    return str(path)


def environment(**more: str) -> dict[str, str]:
    """That of this process without what a launcher left; imports find what this process imports."""
    launchers = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
    kept = {key: value for key, value in os.environ.items() if key not in launchers}
    source = Path(__file__).resolve().parents[2] / "src"
    return kept | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "COLUMNS": "200"} | more


@pytest.fixture(scope="module")
def study(
    compose_params: Callable[..., Params], mlflow_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a tiny study, degraded and ready to train."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copyfile(mlflow_template, folder / "mlflow.db")
    make_study(folder, compose_params(*TINY))
    return folder


def start(study: Path, *command: str) -> subprocess.Popen[str]:
    """Start a command in a process group of its own, as a terminal does."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # tests that a shell started in the background ignore Ctrl-C, and children would inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
    env = environment(MLFLOW_TRACKING_URI=f"sqlite:///{study / 'mlflow.db'}")
    return subprocess.Popen(
        command, cwd=study, env=env, text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
