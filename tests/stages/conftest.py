"""A whole tiny study, run once through the stages' functions."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from leukosr.config import Params
from leukosr.layout import Layout
from leukosr.stages import classify, degrade, prepare, quality, report, sweep, synthesize, train_sr, upscale
from leukosr.stages.context import Context

ARMS = ("raw", "bicubic", "srgan", "real_esrgan", "ground_truth")
SIZES = {
    "srgan": {
        "generator.features": 4,
        "generator.blocks": 1,
        "discriminator.features": 2,
        "patch": 32,
        "batch": 2,
        "stages.0.iterations": 4,
        "validate_every": 2,
    },
    "real_esrgan": {
        "generator.features": 4,
        "generator.blocks": 1,
        "generator.growth": 2,
        "discriminator.features": 2,
        "patch": 32,
        "batch": 2,
        "stages.0.iterations": 3,
        "stages.1.iterations": 2,
        "validate_every": 2,
    },
}
TINY = (
    "study=demo", "budget=smoke", f"arms=[{','.join(ARMS)}]",
    "synthesize.demo.folder=set", "synthesize.demo.height=64", "synthesize.demo.width=64",
    "synthesize.demo.train_sources=2", "synthesize.demo.test_sources=2", "synthesize.demo.views=2",
    "prepare.root=set", "image.height=64", "image.width=64", "study.seeds=[1, 2]",
    "budget.per_class.sr_train=2", "budget.per_class.sr_val=1", "budget.per_class.classifier=4",
    "budget.classify.epochs=2", "budget.classify.batch=8",
"train_sr.real_esrgan.losses.perceptual=0.0",
    "budget.sweep.runs=2", "sweep.epochs=1",
    "report.grid_cells=2", "runtime.device=cpu", "runtime.workers=1", "runtime.log_models=false",
    *(f"train_sr.{name}.{key}={value}" for name, sizes in SIZES.items() for key, value in sizes.items()),
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """A finished study: its parameters, its folder (paths in `params` are relative to it) and what was printed."""

    params: Params
    folder: Path
    printed: str

    @property
    def layout(self) -> Layout:
        """Its files, for a working directory of `folder`."""
        return Layout(self.params.study.name)

    @property
    def outputs(self) -> Path:
        """Everything before the report."""
        return self.folder / self.layout.root


@pytest.fixture(scope="session")
def tiny_params(compose_params: Callable[..., Params]) -> Params:
    """The demo study, as small as it gets."""
    return compose_params(*TINY)


@pytest.fixture(scope="session")
def study(
    tiny_params: Params,
    mlflow_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    session_small_resnet: Callable[[pytest.MonkeyPatch], None],
) -> Study:
    """All stages, in the order of the pipeline."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copyfile(mlflow_template, folder / "mlflow.db")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        session_small_resnet(patch)
        run_stages(tiny_params, Layout("demo"), Console(file=printed, width=200))
    return Study(tiny_params, folder, printed.getvalue())


def run_stages(params: Params, layout: Layout, console: Console) -> None:
    """The pipeline, without DVC."""
    context = Context(params, layout, console)
    synthesize.run(context, "demo")
    run_arms(context)
    sweep.run(context)
    report.run(context)


def run_arms(context: Context) -> None:
    """From the images of a set to the scores of every arm."""
    prepare.run(context)
    degrade.run(context)
    for training in context.params.train_sr:
        train_sr.run(context, training)
    for arm in context.params.arms:
        upscale.run(context, arm)
        quality.run(context, arm)
        classify.run(context, arm)


@pytest.fixture
def inside(study: Study, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The finished study as the working directory; do not change its files."""
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{study.folder / 'mlflow.db'}")
    monkeypatch.chdir(study.folder)
    return study


@pytest.fixture
def quiet() -> Console:
    """A console that nobody reads."""
    return Console(file=io.StringIO(), width=200)
