"""DVC's commands, and what they say when they fail."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from leukosr.errors import LeukoError
from leukosr.project import dvc_error, project_root, run_dvc

HELP = "\n\nHaving any troubles? Hit us up at https://dvc.org/support, we are always happy to help!\n"


def test_the_root_is_found_from_any_folder_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "docs", tmp_path / "docs" / "deep"):
        monkeypatch.chdir(folder)
        assert project_root() == tmp_path


@pytest.mark.usefixtures("outside")
def test_outside_a_project_there_is_no_root() -> None:
    with pytest.raises(LeukoError, match="is not inside a DVC project: run the command inside your clone of LeukoSR"):
        project_root()


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("WARNING: slow\nERROR: disk is full" + HELP, "disk is full"),
        ("ERROR:  output 'x' is already tracked by SCM (e.g. Git).\n    You can remove it", "output 'x' is already "),
        ("Killed\n", "Killed"),
        ("", "no message"),
        ("ERROR: first\nERROR: second", "first"),
        ("ERROR: " + "x" * 1000, "x" * 299 + "…"),
    ],
)
def test_the_line_with_the_error_is_what_is_said(stderr: str, said: str) -> None:
    assert dvc_error(stderr).startswith(said)
    assert len(dvc_error(stderr)) <= 300


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("unexpected error - 'utf-8' codec can't encode character '\\udcf3': surrogates not allowed", "not UTF-8"),
        ("bad DVC file name 'datasets/y.dvc' is git-ignored.", r"out of \.gitignore"),
        ("output 'x' is already tracked by SCM (e.g. Git).", "git rm -r --cached"),
        ("Unable to acquire lock. Most likely another DVC process is running", "wait until the other DVC command"),
        ("unexpected error - [Errno 28] No space left on device", "free some space"),
        ("something new", "add -v"),
    ],
)
def test_a_failure_comes_with_a_remedy(monkeypatch: pytest.MonkeyPatch, error: str, remedy: str) -> None:
    failed = subprocess.CompletedProcess([], 1, "", f"ERROR: {error}{HELP}")
    monkeypatch.setattr("leukosr.project.subprocess.run", lambda *_, **__: failed)
    with pytest.raises(LeukoError, match=remedy) as said:
        run_dvc("add", "datasets/x")
    assert str(said.value).startswith(f"`dvc add datasets/x` failed ({error}): ")
