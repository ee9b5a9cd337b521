"""`python release_check.py [TAG]`: whether this commit can be released, and the wheel and the notes in dist/.

The version stands in src/leukosr/__init__.py; CITATION.cff and CHANGELOG.md must agree with it, and so must the tag.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path


def version_of(root: Path) -> str:
    """The version that src/leukosr/__init__.py gives."""
    text = (root / "src/leukosr/__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(version)


def notes_of(root: Path, version: str) -> str:
    """The changelog's section of a version; empty where there is none."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## \[{re.escape(version)}\].*?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def problems(root: Path, tag: str | None) -> list[str]:
    """What stands in the way of a release, a sentence each."""
    version = version_of(root)
    found = []
    if tag and tag != f"v{version}":
        found.append(f"the tag is {tag}, but src/leukosr/__init__.py has {version}: the tag should be v{version}")
    cited = re.findall(r"^version: (.+)$", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    if cited != [version]:
        found.append(f"CITATION.cff has version {', '.join(cited) or 'none'}: make it {version}")
    if not notes_of(root, version):
        found.append(f"CHANGELOG.md has nothing under [{version}]: move there what stands under [Unreleased]")
    elif notes_of(root, "Unreleased"):
        found.append(f"CHANGELOG.md has lines under [Unreleased]: move them to [{version}], or raise the version")
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)
    if changed.stdout:
        found.append(f"the tree is not clean ({changed.stdout.splitlines()[0].strip()}): commit or remove it")
    return found


def build(root: Path) -> Path:
    """The wheel, in dist/ with notes.md beside it; an earlier dist/ is removed."""
    dist = root / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "dist",
        ".",
    ]
    subprocess.run(command, cwd=root, check=True)
    (dist / "notes.md").write_text(notes_of(root, version_of(root)) + "\n", encoding="utf-8")
    (wheel,) = dist.glob(f"leukosr-{version_of(root)}-*.whl")
    return wheel


def main() -> int:
    """Print what is in the way, or build."""
    root = Path(__file__).resolve().parent
    found = problems(root, sys.argv[1] if len(sys.argv) > 1 else None)
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    if found:
        return 1
    print(f"ready to be released as v{version_of(root)}: {build(root).relative_to(root)}, notes in dist/notes.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
