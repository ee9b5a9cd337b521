"""Importing the data sets that are known by name, by their hashes; any other folder comes by `adding`."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from leukosr.data.paths import stays_below
from leukosr.data.pbc import ROOT, fetch_pbc
from leukosr.errors import LeukoError
from leukosr.files import new_folder
from leukosr.outputs import files_below
from leukosr.project import dvc_error, dvc_hash, project_root, run_dvc
from leukosr.quoting import listed, require_folder
from leukosr.yaml_file import read_yaml

POINTER = Path("data.dvc")
FETCHED = {"bccd": "TRAIN, TEST and TEST_SIMPLE", "pbc": "the class folders"}  # by name: what a folder on disk holds


def fetch(name: str, source: Path | None, only: Path | None = None) -> str:
    """Fetch a set that the project knows by name, from its public repository or from a folder on disk.

    BCCD comes into data/ and must have the hash that data.dvc holds; PBC comes into datasets/pbc, each file by its hash
    (data/pbc.py), of which a manifest.csv chooses some (`only`). Returns what came, in words. Raises LeukoError
    otherwise, or where files of the target would be lost; the target stays as it was.
    """
    if name not in FETCHED:
        raise LeukoError(
            f"data fetch knows {' and '.join(FETCHED)}, not '{name}'; any folder comes in by `leukosr data add`"
        )
    if only is not None:
        if name != "pbc":
            raise LeukoError(f"--only is for pbc: of {name} everything comes, or nothing")
        only = only.absolute()
    if source is not None:
        source = require_folder(source, f"name the folder that holds {FETCHED[name]} with --from").absolute()
    with contextlib.chdir(project_root()):
        if name == "pbc":
            brought = fetch_pbc(source, only)
            run_dvc("add", str(ROOT))
            return brought.sentence
        return f"{_fetch_bccd(source)} files in data/, hash as in data.dvc"


def _fetch_bccd(source: Path | None) -> int:
    pointer = _pointer()
    out, meta = pointer["outs"][0], pointer["meta"]
    target = Path(out["path"])
    with new_folder(target) as folder:
        if source is not None:
            _copy_tree(source, folder)
        else:
            _download(meta["url"], meta["rev"], meta["path"], folder)
        found = dvc_hash(folder)
        if found != out["md5"]:
            raise LeukoError(
                f"the images are not BCCD as data.dvc describes it: hash {found}, expected {out['md5']} "
                f"({out['nfiles']} files, {out['size']} bytes). Check that {source or meta['url']} is complete"
            )
        _refuse_others(target, folder)
    run_dvc("commit", "--force", "--quiet", str(POINTER))
    return int(out["nfiles"])


def _refuse_others(target: Path, folder: Path) -> None:
    """Raise LeukoError where `target`, which `folder` is to replace, holds files that `folder` does not."""
    others = [file for file in files_below(target) if not (folder / file).exists()]
    if others:
        raise LeukoError(
            f"{target} holds files that are not BCCD's and would be lost: {listed(others, 3)}. Move them away"
        )


def _pointer() -> dict[str, Any]:
    try:
        content: dict[str, Any] = read_yaml(POINTER)
        out, meta = content["outs"][0], content["meta"]
        if not {"path", "md5", "nfiles", "size"} <= set(out) or not {"url", "rev", "path"} <= set(meta):
            raise KeyError("outs and meta")
        if not stays_below(out["path"]):
            raise KeyError(out["path"])
    except FileNotFoundError:
        raise LeukoError(f"{POINTER} is missing in {Path.cwd()}: take it from git again") from None
    except (LookupError, TypeError) as error:
        raise LeukoError(f"{POINTER} is not what git has ({error}): take it from git again") from None
    return content


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a folder. Hard links would let DVC's read-only cache reach into the user's own files."""
    try:
        shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
    except shutil.Error as error:
        raise LeukoError(f"{source} could not be copied: {error.args[0][0][2]}") from error
    for folder in [target, *(path for path in target.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)  # copytree keeps the modes of a read-only source, which DVC could not replace


def _download(url: str, rev: str, path: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=".") as temporary:
        got = Path(temporary) / "got"
        command = [sys.executable, "-m", "dvc", "get", "--rev", rev, "--out", str(got), url, path]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise LeukoError(
                f"{url} could not be reached ({dvc_error(result.stderr)}): connect to the internet, or take a folder "
                "on disk with `leukosr data fetch bccd --from PATH`"
            )
        shutil.copytree(got, target, dirs_exist_ok=True)
