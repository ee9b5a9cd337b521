"""Finding and checking every image of a set: class folders, TRAIN/TEST folders or a split.csv."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from leukosr.data.parts import refuse_folder_around, refuse_parts, subfolders
from leukosr.data.settings import Folders
from leukosr.data.split_table import read_split
from leukosr.errors import LeukoError
from leukosr.images.decoding import SUFFIXES
from leukosr.images.listing import left_by_system, list_files
from leukosr.images.reading import ImageFacts, inspect_image
from leukosr.quoting import counted, visible
from leukosr.tables import one_spelling
from leukosr.yaml_file import read_yaml

MASKS = "masks"  # the folder, in the root of a set, that holds the masks of its images
SHOWN = 20  # files that an error names one by one
MOST_PIXELS = 50_000_000  # of an image, as prepare.max_pixels, where no study says otherwise


@dataclass(frozen=True)
class SetFile:
    """One file of the set before it is opened. `part` is train, val, test, reference or all; `label` may be empty.

    `reason` says why it cannot be used, as far as its name and folder tell.
    """

    path: str
    label: str
    part: str
    reason: str | None = None

    @property
    def image_id(self) -> str:
        """The POSIX path below the root without its suffix."""
        return str(PurePosixPath(self.path).with_suffix(""))


@dataclass(frozen=True)
class Checked:
    """One good image of the set."""

    file: SetFile
    width: int
    height: int


@dataclass(frozen=True)
class Rejected:
    """One file that is left out, and why."""

    path: str
    reason: str


def unusable(rejected: Sequence[Rejected], root: Path | str, otherwise: str) -> LeukoError:
    """The error that names files of a set that cannot be used; `otherwise`: how to go on without them."""
    named = "; ".join(f"{item.path} {item.reason}" for item in rejected[:SHOWN])
    more = f"; and {len(rejected) - SHOWN} more" if len(rejected) > SHOWN else ""
    return LeukoError(
        f"{counted(len(rejected), 'file')} of {root} cannot be used: {named}{more}. Fix or remove them, or {otherwise}"
    )


def fetch_command(root: str) -> str:
    """The command that puts the images of a study into `root`."""
    if (name := drawn_sets().get(Path(root).as_posix())) is not None:
        return f"leukosr synthesize --set {name}"
    known = {"data": "bccd", "datasets/pbc": "pbc"}.get(root)
    return f"leukosr data fetch {known}" if known else f"leukosr data add {Path(root).name} PATH"


def drawn_sets() -> dict[str, str]:
    """The folders that studies of this project draw themselves, with the names of their sets."""
    sets: dict[str, str] = {}
    for path in sorted(Path("conf/study").glob("*.yaml")):
        study = read_yaml(path)
        drawn = study.get("synthesize") if isinstance(study, dict) else None
        for name, settings in drawn.items() if isinstance(drawn, dict) else ():
            if isinstance(settings, dict) and "folder" in settings:
                sets[str(settings["folder"])] = str(name)
    return sets


def find_images(settings: Folders, labelled: bool = True) -> list[SetFile]:
    """List the files of a set in a fixed order.

    A `split.csv` (`path, label, split`) in the root takes precedence, else the folders named by train/test/reference,
    else class folders in the root. Classes that the study names match in upper or lower case and keep its spelling.
    Where images need no class (`labelled` is False), they lie in any folders. Raises LeukoError for a missing or empty
    folder.
    """
    root = Path(settings.root)
    if not root.is_dir():
        raise LeukoError(f"the image folder {root} does not exist: get it with `{fetch_command(settings.root)}`")
    if (root / "split.csv").is_file():
        return from_split_csv(root, settings.classes, labelled)
    listing = partial(_from_class_folders, classes=settings.classes) if labelled else _from_any_folders
    if settings.train is None or settings.test is None:
        return listing(root, "", part="all")
    found = listing(root, settings.train, part="train") + listing(root, settings.test, part="test")
    if labelled:
        _same_classes(root, settings, found)
    if settings.reference is not None:
        found += listing(root, settings.reference, part="reference")
    return found


def _from_any_folders(root: Path, below: str, part: str) -> list[SetFile]:
    """All files below a folder except masks, and tables and texts beside the images."""
    folder = root / below
    if not folder.is_dir():
        raise LeukoError(f"the folder {folder} is missing: prepare.train, test and reference must name folders")
    found = [
        SetFile(file.path.relative_to(root).as_posix(), "", part, file.reason)
        for file in list_files(folder)
        if MASKS not in file.path.relative_to(folder).parts[:-1]
        and (file.path.parent != folder or file.path.suffix.lower() in SUFFIXES)
    ]
    if not found:
        raise LeukoError(f"{folder} holds no images: add some, or correct prepare.root, train and test")
    return found


def _from_class_folders(root: Path, below: str, part: str, classes: list[str] | None) -> list[SetFile]:
    folder = root / below
    if not folder.is_dir():
        raise LeukoError(f"the folder {folder} is missing: prepare.train, test and reference must name folders")
    present = subfolders(folder)
    spelling = _spellings(classes or [], present, folder)
    for name in classes or []:
        if name not in spelling.values():
            refuse_parts(folder, present)
            raise LeukoError(f"the class folder {folder / name} is missing; {folder} holds {', '.join(present)}")
    names = classes or [name for name in present if name != MASKS and name[0] != "_"]
    if not names:
        raise LeukoError(f"{folder} holds no class folders: put the images of each class into a folder of its own")
    if not classes:
        one_spelling(names, f"{folder} writes one class")
        refuse_parts(folder, names)
        if part != "reference":  # which need not hold every class
            refuse_folder_around(folder, f"if {', '.join(names)} is the only one, list it in prepare.classes")
    found = loose_images(root, folder)
    for name in names:
        own = next((written for written, meant in spelling.items() if meant == name), name)
        files = list_files(folder / own)
        if not files:
            raise LeukoError(f"the class folder {folder / own} is empty: add images or remove the folder")
        found += [SetFile(file.path.relative_to(root).as_posix(), name, part, file.reason) for file in files]
    return found


def loose_images(root: Path, folder: Path) -> list[SetFile]:
    """The images in `folder` itself, which have no class."""
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and not file.is_dir())
    names = [file.relative_to(root).as_posix() for file in files if not left_by_system(file.name)]
    return [SetFile(name, "", "loose", "is not in a class folder") for name in names]


def unused_folders(settings: Folders, found: Iterable[SetFile]) -> list[str]:
    """The folders beside class folders and parts, below the root, that hold nothing of the set; masks are known.

    Empty for a set with a `split.csv`, beside which single images are refused.
    """
    root = Path(settings.root)
    if (root / "split.csv").is_file():
        return []
    used = {
        str(folder)
        for place in {PurePosixPath(item.path).parent for item in found}
        for folder in (place, *place.parents)
    }
    parts = [] if settings.train is None else [settings.train, settings.test, settings.reference]
    names = [
        PurePosixPath(part, name)
        for part in ("", *filter(None, parts))
        for name in subfolders(root / part)
        if name != MASKS
    ]
    return [str(name) for name in names if str(name) not in used]


def folders_of_all(root: Path, found: Iterable[SetFile]) -> list[str]:
    """The folders that every class folder holds, where there are several and in all the same: maybe the classes.

    Empty for a set with a `split.csv`, which says what the classes are.
    """
    if (root / "split.csv").is_file():
        return []
    below: dict[str, set[str]] = {}
    for item in found:
        folders = PurePosixPath(item.path).parent.parts
        if item.label in folders:
            below.setdefault(item.label, set()).update(folders[folders.index(item.label) + 1 :][:1])
    same = set(map(frozenset, below.values()))
    return sorted(*same) if len(below) > 1 and len(same) == 1 and len(min(same, key=len)) > 1 else []


def _spellings(classes: Sequence[str], written: Iterable[str], where: Path) -> dict[str, str]:
    """What is written in a set -> the class of the study that it means: exactly, else in upper or lower case.

    Raises LeukoError where two spellings could be meant.
    """
    names = sorted(set(written))
    found = {name: name for name in classes if name in names}
    for name in (name for name in classes if name not in found):
        alike = [other for other in names if other.casefold() == name.casefold() and other not in classes]
        if len(alike) > 1:
            raise LeukoError(f"{where} writes the class {name} as {' and '.join(alike)}: write it in one way")
        found |= dict.fromkeys(alike, name)
    return found


def _same_classes(root: Path, settings: Folders, found: Iterable[SetFile]) -> None:
    labels: dict[str, set[str]] = {"train": set(), "test": set(), "loose": set()}
    for item in found:
        labels[item.part].add(item.label)
    one_spelling(sorted(labels["train"] | labels["test"]), f"{root} writes one class")
    if labels["train"] != labels["test"]:
        odd = ", ".join(sorted(labels["train"] ^ labels["test"]))
        raise LeukoError(
            f"{root}: the class folders of {settings.train} and {settings.test} differ ({odd} is in only one "
            "of them): complete them or list the classes to use in prepare.classes"
        )


def from_split_csv(root: Path, classes: list[str] | None = None, labelled: bool = True) -> list[SetFile]:
    """The files that `split.csv` lists, and those that it leaves out with that reason; see `find_images`."""
    rows = read_split(root, labelled)
    reasons = [(row, _not_there(root / row.path)) for row in rows]
    if all(reason for _, reason in reasons):
        raise LeukoError(
            f"no row of {root / 'split.csv'} names a file in its folder, e.g. {rows[0].path}: paths begin there"
        )
    if classes is None:
        one_spelling((row.label for row in rows), f"{root / 'split.csv'} writes one class")
    spelling = _spellings(classes or [], (row.label for row in rows), root / "split.csv")
    found = [SetFile(row.path, spelling.get(row.label, row.label), row.split, reason) for row, reason in reasons]
    listed = {item.path for item in found}
    for path in (item.path for item in list_files(root)):
        name = path.relative_to(root).as_posix()
        if path.suffix.lower() in SUFFIXES and name not in listed and PurePosixPath(name).parts[0] != MASKS:
            found.append(SetFile(name, "", "unlisted", "is not listed in split.csv"))
    for name in classes or []:
        if name not in {item.label for item in found}:
            raise LeukoError(f"{root / 'split.csv'} has no label {name}, which prepare.classes lists")
    used = [item for item in found if not classes or item.part == "unlisted" or item.label in classes]
    return sorted(used, key=lambda item: item.path)


def _not_there(path: Path) -> str | None:
    return None if os.path.lexists(path) else "does not exist, but split.csv lists it"


def check_images(
    root: Path,
    found: list[SetFile],
    max_pixels: int,
    inspect_all: Callable[[list[Path]], Iterable[ImageFacts]] | None = None,
) -> tuple[list[Checked], list[Rejected]]:
    """Decode every file without a reason; return the good images and the refused ones, each with its reason.

    The first of several byte-identical files is kept. `inspect_all` maps `inspect_image` over the paths, in order; the
    default does so in this process.
    """
    paths = [root / item.path for item in found if item.reason is None]
    inspected = inspect_all(paths) if inspect_all else (inspect_image(path, max_pixels) for path in paths)
    facts = dict(zip(paths, inspected, strict=True))
    good: list[Checked] = []
    rejected: list[Rejected] = []
    first_with: dict[str, SetFile] = {}
    first_id: dict[str, SetFile] = {}
    for item in found:
        fact = facts[root / item.path] if item.reason is None else ImageFacts(0, 0, "", item.reason)
        if (reason := fact.reason or _copy_of(item, fact, first_with, first_id)) is None:
            first_with[fact.digest] = item
            first_id[item.image_id] = item
            good.append(Checked(item, fact.width, fact.height))
        else:
            rejected.append(Rejected(visible(item.path), reason))
    return good, rejected


def _copy_of(
    item: SetFile, fact: ImageFacts, first_with: dict[str, SetFile], first_id: dict[str, SetFile]
) -> str | None:
    """Why this good image cannot be part of the set beside the ones before it."""
    if (first := first_with.get(fact.digest)) is not None:
        differ = item.label != first.label and not any(each.label[:1] in ("", "_") for each in (item, first))
        differently = f", but {item.label} here and {first.label} there: remove the wrong one" if differ else ""
        return f"is a duplicate of {first.path} (same bytes{differently})"
    if (first := first_id.get(item.image_id)) is not None:
        return f"has the name of {first.path} apart from the suffix; rename one"
    return None
