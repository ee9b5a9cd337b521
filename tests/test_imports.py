"""The contracts of pyproject.toml on who may import what are kept, and the tool that checks them looks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def lint(project: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    environment = os.environ | {"PYTHONPATH": str(project / "src")}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_imports_run_one_way() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("images/reading.py", "leukosr.stages"),
        ("degradation/noise.py", "mlflow"),
        ("engine/seeding.py", "leukosr.data.splits"),
        ("evaluate/estimate.py", "typer"),
    ],
)
def test_an_import_against_the_floors_is_found(module: str, imported: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "src/leukosr" / module).open("a", encoding="utf-8") as file:
        file.write(f"\nimport {imported}\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert f"leukosr.{module[:-3].replace('/', '.')} -> {imported}" in done.stdout
