"""`make release-check`: what keeps a commit from being released."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import release_check


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src/leukosr").mkdir(parents=True)
    (tmp_path / "src/leukosr/__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CITATION.cff").write_text("version: 1.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n## [1.2.0]\n\n- New.\n\n## [1.1.0]\n\n- Old.\n"
    )
    for command in (["init"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "all"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_a_clean_tree_whose_version_is_in_the_changelog_can_be_released(project: Path) -> None:
    assert release_check.problems(project, "v1.2.0") == []
    assert release_check.notes_of(project, "1.2.0") == "- New."


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("CITATION.cff", "1.2.0", "1.1.0", "CITATION.cff has version 1.1.0"),
        ("CHANGELOG.md", "[1.2.0]", "[1.2.1]", "nothing under [1.2.0]"),
        ("CHANGELOG.md", "[Unreleased]\n", "[Unreleased]\n\n- More.\n", "lines under [Unreleased]"),
        ("src/leukosr/__init__.py", "1.2.0", "1.3.0", "the tag should be v1.3.0"),
    ],
)
def test_what_does_not_agree_is_named(project: Path, file: str, old: str, new: str, said: str) -> None:
    (project / file).write_text((project / file).read_text().replace(old, new))
    found = release_check.problems(project, "v1.2.0")
    assert any(said in problem for problem in found) and "the tree is not clean" in found[-1]
