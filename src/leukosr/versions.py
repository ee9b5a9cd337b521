"""What produced a result: commit and installed packages."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata

PACKAGES = ("leukosr", "torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "scikit-image",
            "pandas", "matplotlib", "dvc", "mlflow")  # fmt: skip


def git_commit() -> str:
    """The commit of the working tree, with -dirty where files differ; `unknown` outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def installed_versions() -> dict[str, str]:
    """Python and the installed packages whose version can change a number, by name."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
