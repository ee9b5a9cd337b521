"""What produced a result: commit and installed packages."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata

PACKAGES = ("leukosr", "torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "scipy",
            "scikit-learn", "pandas", "matplotlib", "dvc", "mlflow", "optuna")  # fmt: skip


# what a study itself writes; parameters and hashes are kept with every result anyway
WRITTEN_BY_STUDIES = ("dvc.lock", "params.yaml", "results")


def git_commit() -> str:
    """The commit of the working tree, `unknown` outside git; with -dirty where tracked code or settings differ."""
    excluded = [f":(top,exclude){name}" for name in WRITTEN_BY_STUDIES]
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", *excluded)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-dirty" if changed else head


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def installed_versions() -> dict[str, str]:
    """Python and the installed packages whose version can change a number, by name."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
