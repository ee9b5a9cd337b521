"""Fixtures that several test packages share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir, nullcontext
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from leukosr.config import Params, parse_params

# before torch is imported: on tensors as small as the tests' threads only wait for each other, and never spin for it
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

CONF = Path(__file__).resolve().parent.parent / "conf"


@pytest.fixture(scope="session")
def compose_raw() -> Callable[..., Any]:
    """What `dvc exp run -S …` writes to params.yaml, parsed, before validation."""

    once = cache(partial(compose_from, CONF))
    return lambda *overrides: deepcopy(once(*overrides))  # tests change what they get


def compose_from(conf: Path, *overrides: str) -> Any:
    """What DVC writes to params.yaml from a folder of configuration, parsed."""
    with initialize_config_dir(str(conf), version_base=None):
        config = compose("config", overrides=list(overrides))
        OmegaConf.resolve(config)  # as DVC does: stricter than to_container, it takes no plain dict from a resolver
        return OmegaConf.to_container(config)


@pytest.fixture(scope="session")
def compose_params(compose_raw: Callable[..., Any]) -> Callable[..., Params]:
    """Params composed from conf/ with the given overrides."""
    return cache(lambda *overrides: parse_params(compose_raw(*overrides), "conf"))


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder outside every project as the working directory, also where TMPDIR lies inside a clone."""
    inside = any((folder / ".dvc").is_dir() for folder in tmp_path.parents)
    other = TemporaryDirectory(dir="/tmp") if inside else nullcontext(str(tmp_path))
    with other as folder, chdir(folder):
        yield Path(folder)


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database; making one takes seconds, copying it does not."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    folder = tmp_path_factory.mktemp("mlflow")
    SqlAlchemyStore(f"sqlite:///{folder / 'mlflow.db'}", (folder / "unused").as_uri())
    return folder / "mlflow.db"


@pytest.fixture
def mlflow_store(mlflow_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of an empty store in the test's folder, which is also the working directory."""
    import mlflow

    shutil.copyfile(mlflow_template, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    # MLflow remembers the experiment of the process; every test is to start like a new process
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
    yield uri
    while mlflow.active_run() is not None:
        mlflow.end_run()


@pytest.fixture
def small_resnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow residual network under the name resnet50, where a test is not about the network."""
    patch_small_resnet(monkeypatch)


@pytest.fixture(scope="session")
def session_small_resnet() -> Callable[[pytest.MonkeyPatch], None]:
    """The same for fixtures of the session, which patch and undo themselves."""
    return patch_small_resnet


def patch_small_resnet(patch: pytest.MonkeyPatch) -> None:
    """Put the narrow network into the registry of classifiers."""
    import torch
    from torch import nn

    from leukosr.classify.backbones import BACKBONES

    class SmallResNet(nn.Module):
        def __init__(self, num_classes: int, weights: str = "none") -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
            self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
            self.fc = nn.Linear(8, num_classes)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            features = self.stem(x)
            return self.fc(torch.relu(features + self.body(features)).mean((2, 3)))

    patch.setitem(BACKBONES, "resnet50", SmallResNet)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every figure is one pixel: where a test is not about figures, since drawing takes most of its time."""
    patch_undrawn(monkeypatch)


@pytest.fixture(scope="session")
def session_undrawn() -> Callable[[pytest.MonkeyPatch], None]:
    """The same for fixtures of the session, which patch and undo themselves."""
    return patch_undrawn


def patch_undrawn(patch: pytest.MonkeyPatch) -> None:
    """Save one pixel in the place of every figure."""
    from matplotlib.figure import Figure
    from PIL import Image

    patch.setattr(Figure, "savefig", lambda _, path, **options: Image.new("RGB", (1, 1)).save(path, format="png"))
