"""The DVC project around the working directory: its root, its lock, DVC's commands and hashes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from leukosr.errors import LeukoError
from leukosr.quoting import short

# what a damaged file of DVC's raises, from the disk to the key that is not there
DAMAGED = (
    OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, yaml.YAMLError,
)  # fmt: skip


def project_root() -> Path:
    """The nearest folder from the working directory upwards that DVC manages. Raises LeukoError where there is none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir():
            return folder
    raise LeukoError(f"{here} is not inside a DVC project: run the command inside your clone of LeukoSR")


@contextlib.contextmanager
def at_project_root() -> Iterator[bool]:
    """Work at the root of the DVC project; where there is none, stay. Yields whether there is one."""
    try:
        root = project_root()
    except LeukoError:
        yield False
        return
    with contextlib.chdir(root):
        yield True


@dataclass(frozen=True)
class LockedStage:
    """A stage in dvc.lock: its parameters, and the digests of its inputs and outputs by path."""

    params: Mapping[str, Any]
    deps: Mapping[str, str | None]
    outs: Mapping[str, str | None]


def read_lock(path: Path, params_file: str = "params.yaml") -> dict[str, LockedStage]:
    """The stages of a dvc.lock; none where there is no such file. Raises LeukoError for one that cannot be read."""
    if not path.is_file():
        return {}
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        content = yaml.load(path.read_text(encoding="utf-8"), loader)
        return {
            name: LockedStage(
                dict(stage.get("params", {}).get(params_file, {})),
                {each["path"]: each.get("md5") for each in stage.get("deps", ())},
                {each["path"]: each.get("md5") for each in stage.get("outs", ())},
            )
            for name, stage in content["stages"].items()
        }
    except DAMAGED as error:
        words = " ".join(str(error).split())[:200]
        raise LeukoError(f"{path} cannot be read ({words}): run `git checkout {path}`, or `dvc repro`") from None


def run_dvc(*arguments: str) -> str:
    """Run a DVC command in the working directory; what it prints. Raises LeukoError with DVC's error and a remedy."""
    command = [sys.executable, "-m", "dvc", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace", check=False)
    if result.returncode:
        message = dvc_error(result.stderr)
        remedy = next((remedy for words, remedy in _REMEDIES.items() if words in message), None)
        raise LeukoError(f"`dvc {' '.join(arguments)}` failed ({message}): {remedy or 'add -v to see what DVC did'}")
    return result.stdout


def dvc_error(stderr: str) -> str:
    """The line with the error: not the last one, in which DVC offers its help."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return short((errors or lines[-1:] or ["no message"])[0], 299)


_REMEDIES = {
    "No module named dvc": "run `pip install 'leukosr[pipeline]'`",
    "surrogates not allowed": "rename the files whose names are not UTF-8",
    "is git-ignored": "take the rule that covers it out of .gitignore",
    "already tracked by SCM": "take it out of git first, with `git rm -r --cached`",
    "acquire lock": "wait until the other DVC command has ended, then run this one again",
    "No space left": "free some space on the disk and run the command again",
    "Permission denied": "make the folder writable for you",
    "not inside of a DVC repository": "run the command inside your clone of LeukoSR",
}


def dvc_hash(folder: Path) -> str:
    """The hash that DVC gives to a folder."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs import LocalFileSystem

    fs = LocalFileSystem()
    with tempfile.TemporaryDirectory() as cache:
        _, _, tree = build(HashFileDB(fs, cache), str(folder.resolve()), fs, "md5", dry_run=True)
    return str(tree.hash_info.value)
