"""`make setup` with a stand-in for the requirements: it makes .venv, and mends what a cut run left of one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.patience import PATIENCE

from .backend import write_wheel

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "leukosr"
version = "1.0"
"""


def set_up(project: Path) -> str:
    """What `make setup` prints."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "PIP_", "HASHED", "PYTHON"))}
    (project / "a python").mkdir(exist_ok=True)  # whose path has a blank, too
    python = project / "a python" / "python3"
    if not python.exists():
        python.symlink_to(sys.executable)
    command = ["make", "setup", f"PYTHON={python}", "UV=", "EXTRA_PIP_ARGS=--no-index --find-links wheels"]
    done = subprocess.run(command, cwd=project, env=kept, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def is_whole(project: Path) -> bool:
    check = "import tiny, leukosr; assert tiny.whole and leukosr.whole"
    return subprocess.run([project / ".venv/bin/python", "-I", "-c", check], check=False).returncode == 0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was set up; its path has a space."""
    folder = tmp_path_factory.mktemp("a setup")
    (folder / "wheels").mkdir()
    write_wheel(folder / "wheels", "tiny")
    for name in ("requirements.in", "requirements.txt"):
        (folder / name).write_text("tiny==1.0\n")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    shutil.copy(Path(__file__).with_name("backend.py"), folder)
    shutil.copy(ROOT / "Makefile", folder)
    assert "GB to download" in set_up(folder)
    assert is_whole(folder)
    return folder


def test_a_second_run_does_nothing(project: Path) -> None:
    assert "Nothing to be done" in set_up(project)


def cut_in_a_package(site: Path) -> None:
    """pip was killed between two files of a package and never came to the rest."""
    (site / "tiny-1.0.dist-info" / "INSTALLER").unlink()
    (site / "tiny.py").unlink()
    shutil.rmtree(site / "leukosr-1.0.dist-info")


def cut_in_pip(site: Path) -> None:
    """The environment was being made: pip is there in part."""
    (info,) = site.glob("pip-*.dist-info")
    shutil.rmtree(info)
    shutil.rmtree(site / "pip" / "_internal")


@pytest.mark.parametrize("cut", [cut_in_a_package, cut_in_pip])
def test_what_a_cut_run_left_is_mended(project: Path, cut: Callable[[Path], None]) -> None:
    (site,) = (project / ".venv/lib").glob("python*/site-packages")
    cut(site)
    (project / ".venv/.ready").unlink()
    set_up(project)
    assert is_whole(project)
    assert "Nothing to be done" in set_up(project)
