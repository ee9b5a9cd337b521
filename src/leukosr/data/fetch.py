"""Importing data sets: those known by name by their hashes, any other folder checked and put under DVC."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from leukosr.data.breakhis import check_breakhis
from leukosr.data.catalogue import (
    MASKS,
    Rejected,
    SetFile,
    check_images,
    drawn_sets,
    from_split_csv,
    loose_images,
)  # fmt: skip
from leukosr.data.mask_files import beside_images, find_masks
from leukosr.data.paths import stays_below
from leukosr.data.pbc import ROOT, fetch_pbc
from leukosr.data.sources import read_sources
from leukosr.data.split_table import copy_split
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import explained_os_errors, new_folder
from leukosr.images.decoding import SUFFIXES
from leukosr.images.listing import list_files
from leukosr.images.reading import inspect_image
from leukosr.outputs import files_below
from leukosr.project import dvc_error, project_root, run_dvc
from leukosr.quoting import listed
from leukosr.yaml_file import read_yaml

POINTER = Path("data.dvc")
FETCHED = {"bccd": "TRAIN, TEST and TEST_SIMPLE", "pbc": "the class folders"}  # by name: what a folder on disk holds


def fetch(name: str, source: Path | None) -> str:
    """Fetch a set that the project knows by name, from its public repository or from a folder on disk.

    BCCD comes into data/ and must have the hash that data.dvc holds; PBC comes into datasets/pbc, each file by its hash
    (data/pbc.py). Returns what came, in words. Raises LeukoError otherwise, or where files of the target would be lost;
    the target stays as it was.
    """
    if name not in FETCHED:
        raise LeukoError(
            f"data fetch knows {' and '.join(FETCHED)}, not '{name}'; any folder comes in by `leukosr data add`"
        )
    if source is not None and not source.is_dir():
        raise LeukoError(f"--from {source} is not a folder: name the folder that holds {FETCHED[name]}")
    source = source and source.absolute()
    with contextlib.chdir(project_root()):
        if name == "pbc":
            brought = fetch_pbc(source)
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
        found = _dvc_hash(folder)
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


def _dvc_hash(folder: Path) -> str:
    """The hash that DVC gives to a folder."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs import LocalFileSystem

    fs = LocalFileSystem()
    with tempfile.TemporaryDirectory() as cache:
        _, _, tree = build(HashFileDB(fs, cache), str(folder.resolve()), fs, "md5", dry_run=True)
    return str(tree.hash_info.value)


@dataclass(frozen=True)
class Added:
    """What `add` brought: images and masks; files left out, rows of split.csv that named such, gaps of sources.csv."""

    images: int
    left_out: list[Rejected]
    split_rows: int
    masks: int = 0
    notes: tuple[str, ...] = ()


def add(name: str, path: Path, *, leave_out: bool, classes: bool = True) -> Added:
    """Check every image of a folder, copy the good ones to datasets/NAME of the project and run `dvc add`.

    Without `classes` images may lie in any folders, or directly in this one. A split.csv comes without the rows of
    files that are left out: `prepare` refuses rows without a file. The mask of a/1.jpg is masks/a/1.png, or a/1.png
    itself where that is not RGB, and becomes the former. The notes say what a folder of BreakHis holds and lacks.
    Raises LeukoError when an image cannot be used or a mask has no image (unless `leave_out`), when a mask is
    damaged, when the folder has no class folders (unless it needs none), or when datasets/NAME or its .dvc file
    exists; then nothing is left behind.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise LeukoError(f"'{name}' cannot be the name of a folder below datasets/: use letters, digits, - and _")
    path = path.absolute()
    with contextlib.chdir(project_root()):
        return _add(Path("datasets") / name, path, leave_out=leave_out, classes=classes)


def _add(target: Path, path: Path, *, leave_out: bool, classes: bool) -> Added:
    _refuse_known(target)
    if not path.is_dir():
        raise LeukoError(f"{path} is not a folder: name the folder that holds the class folders")
    with_split = (path / "split.csv").is_file()
    found = from_split_csv(path, labelled=classes) if with_split else _walk(path, classes)
    beside = beside_images(path, found)
    found = [item for item in found if path / item.path not in beside.values()]
    look = partial(inspect_image, max_pixels=50_000_000)
    workers = count_workers("auto")
    good, rejected = check_images(
        path, found, 50_000_000,
        lambda paths: track(ordered_map(look, paths, workers), len(paths), "checking images"),
    )  # fmt: skip
    contradicting, facts = check_breakhis(good)
    good = [image for image in good if image.file.path not in {item.path for item in contradicting}]
    masks = find_masks(path, good, beside)
    rejected += [*contradicting, *masks.others]
    if rejected and not leave_out:
        listed = "; ".join(f"{item.path} {item.reason}" for item in rejected[:20])
        raise LeukoError(f"{len(rejected)} files of {path} cannot be used: {listed}. Fix them or add --leave-out")
    sources = read_sources(path, good)  # refuse a table of other names before anything is copied
    with _undone(target):
        with new_folder(target) as folder:
            for name, source in {**{image.file.path: path / image.file.path for image in good}, **masks.of}.items():
                file = folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, file)
            if (path / "sources.csv").is_file():
                shutil.copyfile(path / "sources.csv", folder / "sources.csv")
            split_rows = copy_split(path, folder, {image.file.path for image in good}) if with_split else 0
        run_dvc("add", str(target))
    return Added(len(good), rejected, split_rows, len(masks.of), (*facts, *sources.notes, *masks.notes))


def _refuse_known(target: Path) -> None:
    """Raise LeukoError where a study draws this set, DVC tracks it already, or its place is taken."""
    pointer = _pointer_of(target)
    if target.as_posix() in drawn_sets():
        raise LeukoError(f"{target} is drawn by `leukosr synthesize` for a study: choose another name")
    if pointer.exists():
        raise LeukoError(
            f"{pointer} exists already: `dvc pull {pointer}` or `dvc checkout {pointer}` restores the set that it "
            "names; choose another name, or remove the set with `dvc remove` first"
        )
    if target.exists() or target.is_symlink():
        raise LeukoError(_EXISTS.format(target))


_EXISTS = "{} exists already, unknown to DVC: move it away, or choose another name"


def _pointer_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.dvc")


@contextlib.contextmanager
def _undone(target: Path) -> Iterator[None]:
    """Create `target`, so that no other process takes the name; on failure remove it and what DVC wrote beside it."""
    ignored = target.with_name(".gitignore")
    before = ignored.read_bytes() if ignored.exists() else None
    with explained_os_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.mkdir()
        except FileExistsError:
            raise LeukoError(_EXISTS.format(target)) from None
    try:
        yield
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        _pointer_of(target).unlink(missing_ok=True)
        if before is not None:
            ignored.write_bytes(before)
        else:
            ignored.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            target.parent.rmdir()  # empty where nothing was there before
        raise


def _walk(path: Path, classes: bool) -> list[SetFile]:
    """Every image below a folder with class folders, or with TRAIN/TEST folders of class folders; else below any."""
    files = [file for file in list_files(path) if file.path.relative_to(path).parts[0] != MASKS]
    if not classes:  # tables and texts may lie beside the images
        files = [file for file in files if file.path.parent != path or file.path.suffix.lower() in SUFFIXES]
        if not files:
            raise LeukoError(f"{path} holds no images")
        return [SetFile(file.path.relative_to(path).as_posix(), "", "all", file.reason) for file in files]
    files = [file for file in files if file.path.parent != path]
    if not files:
        raise LeukoError(
            f"{path} holds no class folders: put the images of each class into a folder of its own, or, for studies of "
            "super-resolution alone, add --no-classes"
        )
    in_folders = [
        SetFile(file.path.relative_to(path).as_posix(), file.path.parent.name, "all", file.reason) for file in files
    ]
    return loose_images(path, path) + in_folders
