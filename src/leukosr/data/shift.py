"""A set whose test part is other laboratories': their cells cut out and brought to the scale of the set's own."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from leukosr.data.catalogue import Rejected
from leukosr.data.parts import subfolders
from leukosr.data.split_table import NAME as SPLIT
from leukosr.data.split_table import SplitRow, read_split
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.images.listing import list_files
from leukosr.images.nucleus import diameter_of, find_nucleus
from leukosr.images.reading import read_rgb, write_png
from leukosr.images.resampling import brought_to
from leukosr.quoting import absent, counted, listed
from leukosr.tables import one_spelling, write_table

MEASURED = 200  # images of each class of the own set whose nuclei are measured


@dataclass(frozen=True)
class Tested:
    """How many cells of another set are tested, and how much its images were enlarged."""

    folder: Path
    cells: int
    factor: float


@dataclass(frozen=True)
class Shifted:
    """How many images train and validate, what is tested of each other set, and what was left out."""

    train: int
    val: int
    tested: list[Tested]
    left_out: list[Rejected]


def shift_set(own: Path, others: Sequence[Path], folder: Path, side: int) -> Shifted:
    """Write train and val of `own` (with a split.csv) and, as the test part, cells of each of `others` (class folders).

    Classes match in upper or lower case; those that not every set has are left out. All sets get one scale: the mean
    over classes of the median diameter of nuclei. A cell is the square of `side` pixels around its nucleus or, near the
    border, the nearest one inside its image; a nucleus that the border cuts is left out. Cells are named other_… and,
    where there are several others, other_FOLDER_…; where that is the name of an image of `own`, all begin with other2_,
    other3_ and so on. Raises LeukoError for folders of one name, for a class in two spellings, for fewer than two
    common classes, for a class without any nucleus, and where two cells would get one name.
    """
    rows = [row for row in read_split(own) if row.split in ("train", "val")]
    labels = {row.label.casefold(): row.label for row in rows}
    one_spelling({row.label for row in rows}, f"{own} has a class")
    _check(others)
    found, left_out = _found(own, others, labels)
    rows = [row for row in rows if row.label in found[0]]
    names = _names(others, found, {row.path.casefold() for row in rows})
    sample = {label: [own / row.path for row in rows if row.label == label][:MEASURED] for label in found[0]}
    typical = _typical(own, sample)
    factors = [typical / _typical(other, paths) for other, paths in zip(others, found, strict=True)]
    for row in rows:
        (folder / row.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own / row.path, folder / row.path)
    tested = []
    for other, factor, paths in zip(others, factors, found, strict=True):
        cells: list[SplitRow] = []
        for label, path in [(label, path) for label, some in paths.items() for path in some]:
            if reason := _write_cell(path, folder / names[path], factor, side):
                left_out.append(Rejected(str(path), reason))
            else:
                cells.append(SplitRow(names[path], label, "test"))
        tested.append(Tested(other, len(cells), factor))
        rows += cells
    write_table(folder / SPLIT, ("path", "label", "split"), ((row.path, row.label, row.split) for row in rows))
    parts = [row.split for row in rows]
    return Shifted(parts.count("train"), parts.count("val"), tested, left_out)


def _check(others: Sequence[Path]) -> None:
    """Raise LeukoError where the other sets are no folders, cannot be told apart, or write a class in two ways."""
    places = [other.resolve() for other in others]
    if twice := [str(place) for place, times in Counter(places).items() if times > 1]:
        raise LeukoError(f"{twice[0]} is named twice: name each laboratory once")
    folders = Counter(place.name.casefold() for place in places)
    if repeated := [name for name, times in folders.items() if times > 1]:
        raise LeukoError(f"two sets have the folder name {listed(repeated)}, which tells their cells apart: rename one")
    for other in others:
        if not other.exists():
            raise absent(other, "name a laboratory's folder of class folders")
        if not other.is_dir():
            raise LeukoError(f"{other} is a file: name a laboratory's folder of class folders")
        one_spelling(subfolders(other), f"{other} has a class")


def _found(
    own: Path, others: Sequence[Path], labels: Mapping[str, str]
) -> tuple[list[dict[str, list[Path]]], list[Rejected]]:
    """The images of each other set by label, for the classes that all sets have, and what was left out.

    labels: those of the own set, by their lower-case spelling.
    """
    classes = [{name.casefold(): name for name in subfolders(other)} for other in others]
    common = sorted(labels.keys() & set.intersection(*({*each} for each in classes)))
    if len(common) < 2:
        shared = counted(len(common), "class", "classes")
        named = listed([str(each) for each in (own, *others)])
        raise LeukoError(f"{named} have {shared} in common, at least 2 are needed")
    sets = [(own, labels), *zip(others, classes, strict=True)]
    every = {name: each[name] for each in classes for name in each} | dict(labels)
    lonely = sorted(every.keys() - {*common}, key=lambda name: every[name])
    missing = {name: [str(place) for place, has in sets if name not in has] for name in lonely}
    left_out = [Rejected(every[name], f"is a class missing from {', '.join(missing[name])}") for name in lonely]
    found = []
    for other, each in zip(others, classes, strict=True):
        files = {labels[name]: list_files(other / each[name]) for name in common}
        left_out += [Rejected(str(file.path), file.reason) for some in files.values() for file in some if file.reason]
        found.append({label: [file.path for file in some if not file.reason] for label, some in files.items()})
    return found, left_out


def _write_cell(path: Path, cell: Path, factor: float, side: int) -> str:
    """Cut the cell out of the image at `path`; why not, where it shows no whole nucleus."""
    image = read_rgb(path)
    nucleus = find_nucleus(image)
    if nucleus is None:
        return "shows no nucleus"
    if _is_cut(nucleus):
        return "shows a nucleus that the border cuts"
    write_png(cell, cell_around(image, nucleus, factor, side))
    return ""


def cell_around(image: NDArray[np.uint8], nucleus: NDArray[np.bool_], factor: float, side: int) -> NDArray[np.uint8]:
    """The square of `side` pixels around the nucleus, or the nearest one inside, of the image `factor` times as large.

    An image that is still smaller is mirrored at its borders.
    """
    size = (max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor)))
    large = brought_to(image, size, "opencv_bicubic")
    rows, columns = (max(0, side - length) for length in size)
    large = cv2.copyMakeBorder(
        large, rows // 2, rows - rows // 2, columns // 2, columns - columns // 2, cv2.BORDER_REFLECT
    )
    middle = (round(float(places.mean()) * factor) - side // 2 for places in np.nonzero(nucleus))
    top, left = (min(max(start, 0), length - side) for start, length in zip(middle, large.shape, strict=False))
    return np.ascontiguousarray(large[top : top + side, left : left + side])


def _names(others: Sequence[Path], found: Sequence[Mapping[str, Sequence[Path]]], kept: Set[str]) -> dict[Path, str]:
    """The path of each cell of the new set, by its file of the other set, subfolders in its name.

    kept: the paths of the own set's images, in lower case, none of which a cell may get.
    """
    for word in itertools.chain(["other"], (f"other{number}" for number in itertools.count(2))):
        names = _names_from(word, others, found)
        if kept.isdisjoint(name.casefold() for name in names.values()):
            break
    return names


def _names_from(word: str, others: Sequence[Path], found: Sequence[Mapping[str, Sequence[Path]]]) -> dict[Path, str]:
    """The paths of the cells where all names begin with `word`."""
    names: dict[Path, str] = {}
    taken: dict[str, Path] = {}
    for other, paths in zip(others, found, strict=True):
        prefix = [word, other.resolve().name] if len(others) > 1 else [word]
        for label, path in [(label, path) for label, some in paths.items() for path in some]:
            below = path.relative_to(other).with_suffix("").parts[1:]
            names[path] = f"{label}/{'_'.join([*prefix, *below])}.png"
            if (earlier := taken.setdefault(names[path].casefold(), path)) != path:
                raise LeukoError(f"{earlier} and {path} would both become {names[path]}: rename one")
    return names


def _is_cut(nucleus: NDArray[np.bool_]) -> bool:
    return bool(nucleus[[0, -1]].any() or nucleus[:, [0, -1]].any())


def _typical(root: Path, paths: Mapping[str, Sequence[Path]]) -> float:
    """The mean over classes of the median diameter of the nuclei that are found."""
    every = [path for each in paths.values() for path in each]
    found = iter(
        list(track(ordered_map(_diameter, every, count_workers("auto")), len(every), f"measuring {root.name}"))
    )
    medians = []
    for label, each in paths.items():
        known = [size for _ in each if (size := next(found)) is not None]
        if not known:
            raise LeukoError(
                f"{root} shows no nucleus in any image of {label}: give stained cells, nuclei dark in the red channel"
            )
        medians.append(np.median(known))
    return float(np.mean(medians))


def _diameter(path: Path) -> float | None:
    nucleus = find_nucleus(read_rgb(path))
    return None if nucleus is None else diameter_of(nucleus)
