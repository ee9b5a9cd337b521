"""Bringing data sets in: BCCD by its DVC hash, any other folder checked and put under DVC."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from leukosr.config import PerClass, Prepare, SourceDisjoint
from leukosr.data.catalogue import Found, Rejected, check_images, drawn_sets, find_images, loose_images
from leukosr.data.images import inspect_image
from leukosr.data.listing import list_files
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import new_folder

POINTER = Path("data.dvc")


def fetch(name: str, source: Path | None) -> int:
    """Bring BCCD to data/: from the public repository named in data.dvc, or from a folder on disk.

    The folder must have the hash that data.dvc holds. Returns the number of files. Raises LeukoError
    otherwise, and data/ stays as it was.
    """
    if name != "bccd":
        raise LeukoError(f"data fetch knows bccd only, not '{name}'; any folder comes in by `leukosr data add`")
    pointer = _pointer()
    out, meta = pointer["outs"][0], pointer["meta"]
    if source is not None and not source.is_dir():
        raise LeukoError(f"--from {source} is no folder: name the folder that holds TRAIN, TEST and TEST_SIMPLE")
    target = Path(out["path"])
    with new_folder(target) as folder:
        if source is not None:
            _copy_tree(source, folder)
        else:
            _download(meta["url"], meta["rev"], meta["path"], folder)
        found = _dvc_hash(folder)
        if found != out["md5"]:
            raise LeukoError(
                f"the images are not BCCD as data.dvc describes it: hash {found}, expected {out['md5']} "
                f"({out['nfiles']} files, {out['size']} bytes). Check that {source or meta['url']} is complete"
            )
    _dvc("commit", "--force", "--quiet", str(POINTER))
    return int(out["nfiles"])


def _pointer() -> dict[str, Any]:
    if not POINTER.exists():
        raise LeukoError(f"{POINTER} is missing: run the command in the root of the project")
    content: dict[str, Any] = yaml.safe_load(POINTER.read_text(encoding="utf-8"))
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
            last = (result.stderr.strip().splitlines() or ["no message"])[-1][:300]
            raise LeukoError(
                f"{url} could not be reached ({last}): connect to the internet, or take a folder on disk with "
                "`leukosr data fetch bccd --from PATH`"
            )
        shutil.copytree(got, target, dirs_exist_ok=True)


def _dvc_hash(folder: Path) -> str:
    """The hash that DVC gives to a folder."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs import LocalFileSystem

    fs = LocalFileSystem()
    with tempfile.TemporaryDirectory() as cache:
        _, _, tree = build(HashFileDB(fs, cache), str(folder.resolve()), fs, "md5", dry_run=True)
    return str(tree.hash_info.value)


def add(name: str, path: Path, *, leave_out: bool) -> tuple[int, list[Rejected]]:
    """Check every image of a folder, bring the good ones to datasets/NAME and run `dvc add`.

    Returns the number of images and those left out. Raises LeukoError when an image cannot be used (unless
    `leave_out`), when the folder has no class folders, or when datasets/NAME exists.
    """
    target = Path("datasets") / name
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise LeukoError(f"'{name}' is no name for a folder below datasets/: use letters, digits, - and _")
    if target.as_posix() in drawn_sets():
        raise LeukoError(f"{target} is drawn by `leukosr synthesize` for a study: choose another name")
    if target.exists():
        raise LeukoError(f"{target} exists already: remove it and {target}.dvc first, or choose another name")
    found = _listed(path)
    look = partial(inspect_image, max_pixels=50_000_000)
    workers = count_workers("auto")
    good, rejected = check_images(
        path, found, 50_000_000,
        lambda paths: track(ordered_map(look, paths, workers), len(paths), "checking images"),
    )  # fmt: skip
    if rejected and not leave_out:
        listed = "; ".join(f"{item.path} {item.reason}" for item in rejected[:20])
        raise LeukoError(f"{len(rejected)} files of {path} cannot be used: {listed}. Mend them or add --leave-out")
    with new_folder(target) as folder:
        for image in good:
            file = folder / image.found.path
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path / image.found.path, file)
        for extra in ("split.csv", "sources.csv"):
            if (path / extra).is_file():
                shutil.copyfile(path / extra, folder / extra)
    try:
        _dvc("add", str(target))
    except LeukoError:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return len(good), rejected


def _dvc(*arguments: str) -> None:
    """Run a DVC command. Raises LeukoError with its last line when it fails."""
    result = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise LeukoError(f"`dvc {' '.join(arguments)}` failed ({last}): run the command in the root of the project")


def _listed(path: Path) -> list[Found]:
    """Every image below a folder with class folders, TRAIN/TEST folders of class folders, or a split.csv."""
    if not path.is_dir():
        raise LeukoError(f"{path} is no folder: name the folder that holds the class folders")
    return find_images(_flat(path)) if (path / "split.csv").is_file() else _walk(path)


def _walk(path: Path) -> list[Found]:
    files = [file for file in list_files(path) if file.path.parent != path]
    if not files:
        raise LeukoError(f"{path} holds no class folders: put the images of each class into a folder of its own")
    in_folders = [
        Found(file.path.relative_to(path).as_posix(), file.path.parent.name, "all", file.reason) for file in files
    ]
    return loose_images(path, path) + in_folders


def _flat(path: Path) -> Prepare:
    return Prepare(
        root=str(path), train=None, test=None, reference=None, classes=None, bad_images="stop",
        max_pixels=50_000_000, sr_fraction=0.8, classifier_train_fraction=0.8,
        source_disjoint=SourceDisjoint(
            sr_train=0.4, classifier_train=0.3, classifier_val=0.1, classifier_test=0.2, folds=None
        ),
        sources=str(path),
        per_class=PerClass(sr_train=None, sr_val=1, classifier=None, reference=None),
    )  # fmt: skip
