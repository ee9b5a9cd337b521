"""Importing any folder of images as a set: checked, copied to datasets/NAME and put under DVC."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from leukosr.data.breakhis import check_breakhis
from leukosr.data.catalogue import (
    MASKS,
    MOST_PIXELS,
    Checked,
    Rejected,
    SetFile,
    check_images,
    drawn_sets,
    from_split_csv,
    loose_images,
    unusable,
)
from leukosr.data.contradictions import other_than_folders
from leukosr.data.mask_files import FoundMasks, beside_images, find_masks
from leukosr.data.parts import refuse_folder_around, subfolders, with_validation
from leukosr.data.sources import NAME as SOURCES
from leukosr.data.sources import read_sources
from leukosr.data.split_table import NAME as SPLIT
from leukosr.data.split_table import copy_split, read_split, split_by_folders
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import explained_os_errors, new_folder
from leukosr.images.decoding import SUFFIXES
from leukosr.images.listing import left_by_system, list_files
from leukosr.images.reading import inspect_image
from leukosr.outputs import MARKER
from leukosr.project import project_root, run_dvc
from leukosr.quoting import listed, require_folder
from leukosr.tables import one_spelling, write_frame

SET_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Added:
    """What came: images and masks; files left out, rows of split.csv that named such, gaps of sources.csv.

    good, sources: the images, and the sources of those for which sources.csv names one, by image id.
    """

    images: int
    left_out: list[Rejected]
    split_rows: int
    masks: int = 0
    notes: tuple[str, ...] = ()
    good: Sequence[Checked] = field(default=(), compare=False)
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)


@contextlib.contextmanager
def adding(name: str, path: Path, *, leave_out: bool, classes: bool = True) -> Iterator[Added]:
    """Check every image of a folder, copy the good ones to datasets/NAME of the project and, at the end, `dvc add` it.

    The body runs in the project's root with the copies in their place; an error in it undoes them.
    Without `classes` images may lie in any folders, or directly in this one. A split.csv comes without the rows of
    files that are left out: `prepare` refuses rows without a file. One is written where training, validation and test
    folders hold the class folders. The mask of a/1.jpg is masks/a/1.png, or a/1.png itself where that is not RGB, and
    becomes the former. The notes say what a folder of BreakHis holds and lacks.
    Raises LeukoError when an image cannot be used or a mask has no image (unless `leave_out`), when a mask is
    damaged, when the folder has no class folders (unless it needs none), or when datasets/NAME or its .dvc file
    exists; then nothing is left behind.
    """
    path, target = path.absolute(), _place(name)
    with contextlib.chdir(project_root()):
        _refuse_known(target)
        require_folder(path, "name the folder that holds the class folders")
        good, rejected, masks, facts = _checked(path, leave_out, classes)
        sources = read_sources(path, good)  # refuse a table of other names before anything is copied
        with _undone(target):
            split_rows = _copy(path, target, {image.file.path for image in good}, masks.of)
            of_classes = (*_of_results(path), *_write_split(target, good)) if classes else ()
            notes = (*facts, *sources.notes, *masks.notes, *of_classes)
            yield Added(len(good), rejected, split_rows, len(masks.of), notes, good, sources.by_image)
            run_dvc("add", str(target))


def already_added(name: str, *, classes: bool = True) -> Added:
    """Check every image of datasets/NAME in the current folder, as `adding` does, and change nothing.

    Raises LeukoError where there is no such set under DVC, where a study draws it, or an image cannot be used.
    """
    target = _place(name)
    _refuse_drawn(target)
    if not target.is_dir():
        known = _pointer_of(target).exists()
        remedy = f"dvc checkout {_pointer_of(target)}" if known else f"leukosr data add {name} PATH --study"
        raise LeukoError(f"{target} does not exist: run `{remedy}`")
    if not _pointer_of(target).exists():
        raise LeukoError(f"{target} is unknown to DVC: run `dvc add {target}`")
    by_hand = "write the study by hand, with prepare.bad_images: leave_out (docs/studies.md, Your own images)"
    good, rejected, masks, facts = _checked(target, False, classes, otherwise=by_hand)
    sources = read_sources(target, good)
    notes = (*facts, *sources.notes, *masks.notes)
    return Added(len(good), rejected, 0, len(masks.of), notes, good, sources.by_image)


def refuse_set_name(name: str) -> None:
    """Raise LeukoError for what cannot be the name of a set."""
    if not SET_NAME.fullmatch(name):
        raise LeukoError(f"'{name}' cannot be the name of a folder below datasets/: use letters, digits, - and _")


def study_name(name: str) -> str:
    """What the study of a set is called: the set's name by the rules of study.name.

    Raises LeukoError for what cannot be a set's name.
    """
    refuse_set_name(name)
    return name.lower().replace("-", "_")


def _place(name: str) -> Path:
    """The folder of a set."""
    refuse_set_name(name)
    return Path("datasets") / name


def _checked(
    path: Path, leave_out: bool, classes: bool, otherwise: str = "add --leave-out"
) -> tuple[list[Checked], list[Rejected], FoundMasks, tuple[str, ...]]:
    """The usable images of a folder, what cannot be used, the masks, and what there is to say of the set."""
    found = from_split_csv(path, labelled=classes) if (path / SPLIT).is_file() else _walk(path, classes)
    beside = beside_images(path, found)
    found = [item for item in found if path / item.path not in beside.values()]
    look, workers = partial(inspect_image, max_pixels=MOST_PIXELS), count_workers("auto")
    good, rejected = check_images(
        path, found, MOST_PIXELS, lambda paths: track(ordered_map(look, paths, workers), len(paths), "checking images")
    )
    contradicting, facts = check_breakhis(good)
    good = [image for image in good if image.file.path not in {item.path for item in contradicting}]
    masks = find_masks(path, good, beside)
    rejected += [*contradicting, *masks.others]
    if rejected and not leave_out:
        raise unusable(rejected, path, otherwise)
    if not good:
        raise unusable(rejected, path, "add others, as none is left")
    if empty := _empty_folders(path):
        facts = (*facts, f"empty folders, which are not used: {listed(empty)}")
    facts = (*facts, *other_than_folders(path, [image.file for image in good]))
    return good, rejected, masks, facts


def _copy(path: Path, target: Path, kept: set[str], masks: Mapping[str, Path]) -> int:
    """Copy the images that are kept, masks and tables; returns how many rows split.csv lost."""
    with new_folder(target) as folder:
        for name, source in {**{each: path / each for each in sorted(kept)}, **masks}.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, file)
        if (path / SOURCES).is_file():
            shutil.copyfile(path / SOURCES, folder / SOURCES)
        return copy_split(path, folder, kept) if (path / SPLIT).is_file() else 0


def _write_split(target: Path, good: Sequence[Checked]) -> tuple[str, ...]:
    """Write split.csv where a validation folder lies beside a training and a test folder: these two alone need none."""
    folders = None if (target / SPLIT).exists() else with_validation(target)
    table = split_by_folders(folders, [image.file.path for image in good]) if folders else None
    if folders is None or table is None:
        return ()
    write_frame(target / SPLIT, table)
    if {row.path for row in read_split(target)} != set(table["path"]):  # names in mixed Unicode forms
        (target / SPLIT).unlink()
        return ()
    return (f"{target / SPLIT} was written from the folders {', '.join(sorted(folders))}",)


def _refuse_known(target: Path) -> None:
    """Raise LeukoError where a study draws this set, DVC tracks it already, or its place is taken."""
    pointer = _pointer_of(target)
    _refuse_drawn(target)
    if pointer.exists():
        raise LeukoError(
            f"{pointer} exists already: `dvc pull {pointer}` or `dvc checkout {pointer}` restores the set that it "
            f"names; choose another name, or remove the set: `dvc remove {pointer}`, then the folder {target} and, if "
            f"there is one, conf/study/{target.name}.yaml"
        )
    if target.exists() or target.is_symlink():
        raise LeukoError(_EXISTS.format(target))
    there = {each.name.removesuffix(".dvc") for each in target.parent.glob("*")}
    study = study_name(target.name)
    if alike := sorted(
        name for name in there - {target.name} if SET_NAME.fullmatch(name) and study_name(name) == study
    ):
        raise LeukoError(
            f"{target.parent / alike[0]} is a set of nearly this name, and both would have the study {study}: choose "
            "another name"
        )


def _refuse_drawn(target: Path) -> None:
    if target.as_posix() in drawn_sets():
        raise LeukoError(f"{target} is drawn by `leukosr synthesize` for a study: choose another name")


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


def _of_results(path: Path) -> list[str]:
    """A sentence on class folders that a command of LeukoSR wrote, where the others are somebody's own."""
    folders = subfolders(path)
    written = [name for name in folders if (path / name / MARKER).is_file()]
    if not 0 < len(written) < len(folders):
        return []
    return [f"{listed(written)}: results of an earlier command of LeukoSR, taken for a class like the others"]


def _walk(path: Path, classes: bool) -> list[SetFile]:
    """Every image below a folder with class folders, or with TRAIN/TEST folders of class folders; else below any."""
    files = [file for file in list_files(path) if file.path.relative_to(path).parts[0] != MASKS]
    if not classes:  # tables and texts may lie beside the images
        files = [file for file in files if file.path.parent != path or file.path.suffix.lower() in SUFFIXES]
        if not files:
            raise LeukoError(f"{path} holds no images")
        return [SetFile(file.path.relative_to(path).as_posix(), "", "all", file.reason) for file in files]
    refuse_folder_around(path, "for studies of super-resolution alone add --no-classes")
    loose, files = files, [file for file in files if file.path.parent != path]
    empty = [name for name in subfolders(path) if name != MASKS and name[0] != "_"]
    if empty and not loose:
        raise LeukoError(f"the folders in {path} hold no images: {listed(empty)}; put those of each class into its own")
    if not files:
        raise LeukoError(
            f"{path} holds no class folders: put the images of each class into a folder of its own, or, for studies of "
            "super-resolution alone, add --no-classes"
        )
    in_folders = [
        SetFile(file.path.relative_to(path).as_posix(), file.path.parent.name, "all", file.reason) for file in files
    ]
    _refuse_two_spellings(path, in_folders)
    # `prepare` takes a folder _NAME for no class: of two copies the one in a class folder is to be kept
    return loose_images(path, path) + sorted(in_folders, key=lambda item: "/_" in f"/{item.path}")


def _refuse_two_spellings(path: Path, files: Sequence[SetFile]) -> None:
    """Raise LeukoError where two folders of images beside each other have one name but for case, blanks and `.0`."""
    beside: dict[PurePosixPath, set[str]] = defaultdict(set)
    for file in files:
        for folder in PurePosixPath(file.path).parents[:-1]:
            if not folder.name.startswith("_"):
                beside[folder.parent].add(folder.name)
    for folder, names in beside.items():
        one_spelling(sorted(names), f"{path / folder} writes the name of one folder")


def _empty_folders(path: Path) -> list[str]:
    """The folders below `path` that hold nothing at all, by their paths in it."""
    empty = [Path(here) for here, folders, files in os.walk(path) if not folders and not files]
    return sorted(
        name.as_posix()
        for name in (folder.relative_to(path) for folder in empty)
        if not any(left_by_system(part) for part in name.parts)
    )
