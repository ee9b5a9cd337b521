"""The errors of docs/troubleshooting.md happen: each is brought about here as its section says, or by the test named.

A quoted message must be the one that is printed, apart from paths and numbers.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hydra.errors import ConfigCompositionException

from leukosr import cli
from leukosr.errors import LeukoError

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
ELSEWHERE = {  # what takes a clone of its own, a server or a disk
    "The images of the study are missing": (
        "pipeline/test_errors.py",
        "test_a_study_without_its_images_stops_and_the_former_one_comes_back",
    ),
    "Published weights cannot be downloaded": (
        "classify/test_backbones.py",
        "test_imagenet_weights_that_cannot_be_fetched_are_a_clear_error",
    ),
    "MLflow's server does not answer": (
        "faults/test_tracking.py",
        "test_a_training_outlives_mlflow_and_is_logged_once_later",
    ),
    "The disk is full": ("test_files.py", "test_a_full_disk_is_named_and_the_older_file_stays"),
}
VARYING = r"(?:/[\w./-]+|[0-9a-f]{32}|\d+)"  # paths, hashes, numbers


def sections() -> dict[str, list[tuple[str, str]]]:
    """By heading: what was typed, and what came of it."""
    parts = re.split(r"^### (.*)$", PAGE, flags=re.MULTILINE)[1:]
    console = re.compile(r"```console\n\$ (.*)\n(.*)\n```")
    return {heading: console.findall(text) for heading, text in zip(parts[::2], parts[1::2], strict=True)}


def assert_says(printed: str, heading: str, number: int = 0) -> None:
    """`printed` holds the quoted message; what stands for something of the reader's own may differ."""
    quoted = sections()[heading][number][1]
    quoted = re.sub(r"^(ERROR|error): (unexpected error - )?", "", quoted)
    pattern = VARYING.join(map(re.escape, re.split(VARYING, quoted)))
    assert re.search(pattern, " ".join(printed.split())), printed


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command of the page, `leukosr …`, in this process; what it prints as it ends with `code`."""

    def run(heading: str, number: int = 0, code: int = 1) -> str:
        words = shlex.split(sections()[heading][number][0].rpartition("; ")[2])
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        assert stop.value.code == code
        return printed.out + printed.err

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose_raw: Callable[..., Any]) -> Path:
    """The parts of a clone that these commands read, as the working directory."""
    root = tmp_path / "clone"
    shutil.copytree(ROOT / "conf", root / "conf")
    (root / "params.yaml").write_text(yaml.safe_dump(compose_raw("study=demo", "budget=smoke"), sort_keys=False))
    for name in ("dvc.lock", "data.dvc", "requirements.txt"):
        shutil.copyfile(ROOT / name, root / name)
    (root / ".dvc").mkdir()
    monkeypatch.chdir(root)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "LEUKOSR_OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    return root


def change(project: Path, section: str, key: str, value: Any) -> None:
    file = project / "params.yaml"
    params = yaml.safe_load(file.read_text())
    params[section][key] = value
    file.write_text(yaml.safe_dump(params, sort_keys=False))


def draw(*files: Path) -> None:
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8))


def test_every_section_is_reproduced() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    for heading in sections().keys() - ELSEWHERE.keys():
        assert f'"{heading}"' in here.partition("def test_every_section")[2], heading
    for file, test in ELSEWHERE.values():
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert ELSEWHERE.keys() <= sections().keys()


def test_an_old_python(tmp_path: Path) -> None:
    heading = "The Python is too old, or not there"
    for name in ("Makefile", "requirements.in", "requirements.txt", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        shlex.split(sections()[heading][0][0]), cwd=tmp_path, env=kept, text=True, capture_output=True, check=False
    )
    assert done.returncode != 0 and not (tmp_path / ".venv").exists()
    assert_says(done.stdout, heading)


def test_no_active_environment(project: Path, fail: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "leukosr.doctor.project.shutil.which", lambda name: None if name in ("leukosr", "dvc") else f"/usr/bin/{name}"
    )
    heading = "The environment is not active"
    assert_says(fail(heading, code=0), heading)


@pytest.mark.usefixtures("outside")
def test_another_folder(fail: Callable[..., str]) -> None:
    for number in (0, 1):
        assert_says(fail("The command runs in another folder", number), "The command runs in another folder", number)


def test_no_cuda(project: Path, fail: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    change(project, "runtime", "device", "cuda")
    assert_says(fail("CUDA was asked for, but there is none"), "CUDA was asked for, but there is none")


def test_images_without_classes(project: Path, fail: Callable[..., str]) -> None:
    draw(project / "images/1.png", project / "images/2.png")
    assert_says(fail("The folder has no classes"), "The folder has no classes")


def test_a_cut_image(project: Path, fail: Callable[..., str]) -> None:
    draw(*(project / "images" / name for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/cut.jpg")))
    cut = project / "images/b/cut.jpg"
    cut.write_bytes(cut.read_bytes()[:-400])
    assert_says(fail("An image cannot be used"), "An image cannot be used")


def test_another_copy_of_bccd(project: Path, fail: Callable[..., str]) -> None:
    draw(project / "images/TRAIN/EOSINOPHIL/1.jpeg")
    assert_says(fail("The copy of BCCD is another one"), "The copy of BCCD is another one")


@pytest.mark.parametrize("heading", ["A key is misspelt", "The name of an arm, a study or a budget is misspelt"])
def test_a_misspelt_name(heading: str, compose_raw: Callable[..., Any]) -> None:
    change = shlex.split(sections()[heading][0][0])[-1]
    with pytest.raises(ConfigCompositionException) as error:
        compose_raw("study=demo", change)
    assert_says(str(error.value), heading)


def test_a_value_that_is_not_allowed(project: Path, fail: Callable[..., str]) -> None:
    heading = "A value is not allowed"
    ((key, value),) = re.findall(r"-S degrade\.(\w+)=(\w+)", sections()[heading][0][0])
    change(project, "degrade", key, value)
    assert_says(fail("A stage that comes before has not run"), heading)  # any stage refuses the parameters first


def test_an_earlier_stage_that_has_not_run(project: Path, fail: Callable[..., str]) -> None:
    assert_says(fail("A stage that comes before has not run"), "A stage that comes before has not run")


def test_a_busy_dvc(project: Path) -> None:
    from dvc.fs import localfs
    from dvc.lock import LockError
    from dvc.rwlock import rwlock

    other = {"pid": os.getpid(), "cmd": "dvc repro"}
    busy = str(project / "datasets/demo")
    (project / ".dvc/rwlock").write_text(json.dumps({"write": {busy: other}}))
    with (
        pytest.raises(LockError) as error,
        rwlock(str(project / ".dvc"), localfs, "dvc repro prepare", [], [busy], False),
    ):
        pass
    message = "failed to reproduce 'synthesize@demo': " + str(error.value)  # as DVC's `repro` begins each of its errors
    assert_says(message, "DVC is busy")


def test_a_database_that_cannot_be_reached() -> None:
    from leukosr.tracking.trial_storage import open_storage

    heading = "The database of a sweep cannot be reached"
    (url,) = re.findall(r"STORAGE=(\S+)", sections()[heading][0][0])
    with pytest.raises(LeukoError) as error:
        open_storage(url, 10)
    assert_says(str(error.value), heading)


def test_out_with_other_files(project: Path, fail: Callable[..., str]) -> None:
    draw(project / "images/1.png", project / "images/2.png")
    (project / "notes").mkdir()
    (project / "notes/notes.txt").touch()
    heading = "The folder of `--out` holds other files"
    assert_says(fail(heading), heading)


def test_columns_of_other_names(project: Path, fail: Callable[..., str]) -> None:
    for name in ("OURS.csv", "BASELINE.csv"):
        (project / name).write_text("image,seed,label,answer\n1,1,a,a\n")
    assert_says(fail("The columns have other names"), "The columns have other names")


def test_arms_of_different_images(fail: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    heading = "The two arms were not tested on the same images"
    assert_says(fail(heading), heading)
