"""A finished tiny study in a clone of the working tree, made once by DVC, and cheap copies of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from dvc.repo import Repo
from PIL import Image
from tests.patience import PATIENCE

# names a folder, with a blank in its path, that keeps the finished study for more tests of the same code
KEPT = "LEUKOSR_TEST_STUDY"
REPO = Path(__file__).resolve().parents[2]
ARMS = ("raw", "bicubic", "srgan", "real_esrgan", "ground_truth")
NARROW = {
    "generator.features": 8,
    "generator.blocks": 1,
    "discriminator.features": 8,
    "patch": 32,
    "batch": 2,
    "validate_every": 1,
}
OVERRIDES = {
    **{f"synthesize.demo.{key}": 2 for key in ("train_sources", "test_sources", "views")},
    **{f"{section}.{side}": 64 for section in ("synthesize.demo", "image") for side in ("height", "width")},
    "budget.per_class.sr_val": 1,
    "budget.classify.epochs": 1,
    "budget.sweep.learning_rates": "[0.001]",
    "budget.sweep.runs": 2,
    "study.seeds": "[3]",
    "report.grid_cells": 1,
    "runtime.checkpoint_seconds": 0,
    "runtime.log_models": "false",
    "runtime.workers": 1,
}
SIZES: dict[str, dict[str, int]] = {
    "srgan": {**NARROW, "stages.0.iterations": 4},
    "real_esrgan": {**NARROW, "generator.growth": 8, "stages.0.iterations": 12, "stages.1.iterations": 12},
}


def tiny(trainings: Sequence[str]) -> list[str]:
    """What makes a study tiny that has these trainings."""
    sizes = {f"train_sr.{name}.{key}": v for name in trainings for key, v in SIZES[name].items()}
    return [part for key, value in {**OVERRIDES, **sizes}.items() for part in ("-S", f"{key}={value}")]


TINY = tiny(list(SIZES))
LEFT_OUT = ("datasets/", "results/")  # no clone has those images; of the published results no test reads one there
LINKED = (".dvc/cache", "datasets/demo", "outputs", "reports", "mlruns")  # replaced by the stages, never written into


@dataclass(frozen=True)
class Clone:
    """A clone of the project in `root` and the environment that its commands run in."""

    root: Path
    env: Mapping[str, str]

    def start(self, *command: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, as a terminal does; stderr joins stdout."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # tests that a shell started in the background ignore Ctrl-C, and children would inherit that
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return subprocess.Popen(
            [*before, *command], cwd=self.root, env=dict(self.env), text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command: str, fails: bool = False, before: Sequence[str] = ()) -> str:
        """Run a command to its end; its output. The exit code must be 0, or another one if it `fails`."""
        process = self.start(*command, before=before)
        output, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode != 0) is fails, f"{command} ended with {process.returncode}:\n{output}"
        return output

    def json(self, *command: str) -> Any:
        """The JSON that a command prints on stdout."""
        result = subprocess.run(command, cwd=self.root, env=dict(self.env), capture_output=True, text=True, check=True)
        return json.loads(result.stdout)

    def interrupted(self, *command: str, when: Callable[[int], bool], by: signal.Signals) -> tuple[int, str]:
        """Start a command, send `by` to its process group once `when(pid)` holds; exit code and output."""
        process = self.start(*command)
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline and not when(process.pid):
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, by)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def edit_params(self, changes: Mapping[str, Any]) -> None:
        """Change dotted keys of params.yaml; a number in a key is a place in a list."""
        file = self.root / "params.yaml"
        params = yaml.safe_load(file.read_text())
        for dotted, value in changes.items():
            *above, last = [int(part) if part.isdigit() else part for part in dotted.split(".")]
            place = params
            for part in above:
                place = place[part]
            place[last] = value
        file.write_text(yaml.safe_dump(params, sort_keys=False))

    def hidden(self) -> list[Path]:
        """Temporary files and folders of stages below outputs and datasets."""
        return [path for name in ("outputs", "datasets") for path in (self.root / name).rglob(".*")
                if path.name != ".gitignore"]  # fmt: skip

    def changed_stages(self) -> set[str]:
        """The stages that DVC's status names, without the files of images and weights, which no clone has."""
        with Repo(str(self.root), config={"core": {"site_cache_dir": self.env["DVC_SITE_CACHE_DIR"]}}) as repo:
            # a stage outside the current folder is named <path>/dvc.yaml:<stage>
            names = {name.rpartition("/")[2].rpartition(":")[2] for name in repo.status()}
            return {name for name in names if not name.endswith(".dvc")}

    def runs(self) -> list[Any]:
        """All runs of the MLflow store in the clone, oldest first."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.root / 'mlflow.db'}")
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        return list(client.search_runs(experiments, order_by=["attributes.start_time ASC"]))


def stages_run(output: str) -> set[str]:
    """The stages that DVC ran, as it says itself."""
    return set(re.findall(r"^Running stage '(.+)':", output, re.MULTILINE))


def has_workers(pid: int) -> bool:
    """Whether a process has started worker processes."""
    try:
        return bool(psutil.Process(pid).children())
    except psutil.NoSuchProcess:
        return False


def draw_cells(folder: Path, per_class: int = 12) -> None:
    """Class folders of noise images, brighter in one class."""
    random = np.random.default_rng(0)
    for label, least in (("dark", 0), ("light", 120)):
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = random.integers(least, least + 120, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"cell {number}.jpg", quality=95)


def fresh_clone(home: Path) -> Clone:
    """A clone of the working tree but for LEFT_OUT in a folder of `home`, with everything committed."""
    clone = Clone(home / "leuko sr", _environment(home, home / "leuko sr"))
    subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", str(REPO), str(clone.root)], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in listed:
        if (REPO / name).is_file() and not name.startswith(LEFT_OUT):
            (clone.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPO / name, clone.root / name)
    clone.run("git", "config", "user.name", "test")
    clone.run("git", "config", "user.email", "test@example.org")
    clone.run("git", "add", "--all")
    clone.run("git", "commit", "--quiet", "--allow-empty", "--message", "the working tree")
    return clone


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """The demo study at a tiny size, finished by `dvc exp run`; not to be changed by tests."""
    kept = os.environ.get(KEPT)
    home = Path(kept).absolute() if kept else tmp_path_factory.mktemp("a study")
    assert " " in str(home), f"{KEPT} must name a folder with a blank in its path"
    if (home / "finished").exists():
        yield Clone(home / "leuko sr", _environment(home, home / "leuko sr"))
        return
    home.mkdir(exist_ok=True, parents=True)
    shutil.rmtree(home / "leuko sr", ignore_errors=True)  # of a run that was cut
    clone = fresh_clone(home)
    output = clone.run("dvc", "exp", "run", *TINY)
    assert "classify@ground_truth" in stages_run(output)
    (home / "finished").touch()
    yield clone
    if not kept:
        shutil.rmtree(home)  # a gigabyte, mostly classifiers' weights


@pytest.fixture
def clone(finished: Clone, tmp_path: Path) -> Iterator[Clone]:
    """A copy of the finished clone that one test may change; large files are hard links."""
    root = tmp_path / "a copy"

    def copy(source: str, target: str) -> None:
        linked = Path(source).relative_to(finished.root).as_posix().startswith(LINKED)
        os.link(source, target) if linked else shutil.copy2(source, target)

    shutil.copytree(finished.root, root, symlinks=True, copy_function=copy)
    yield Clone(root, {**finished.env, "PYTHONPATH": str(root / "src"), "DVC_SITE_CACHE_DIR": str(tmp_path / "site")})
    shutil.rmtree(root)


def _environment(home: Path, root: Path) -> dict[str, str]:
    """This environment with the venv's commands and the clone's own code, and nothing of the user's settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_", "PYTEST_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # dozens of processes would each compile the clone's code anew
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root / "src"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc site"),
        "OMP_NUM_THREADS": "1",  # figures are equal for an equal number of threads
        "COLUMNS": "200",
    }
