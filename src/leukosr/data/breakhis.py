"""BreakHis (Spanhol et al., IEEE Transactions on Biomedical Engineering 63, 2016): what its file names say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from leukosr.data.catalogue import Checked, Rejected

# SOB_B_A-14-22549AB-40-001.png: benign, adenosis, patient 14-22549AB, magnification 40, image 1. What lies between the
# first and the last hyphen holds the magnification, which is not the patient's: it would make four patients of one.
NAME = re.compile(r"SOB_(?P<kind>[BM])_(?P<tumour>[A-Z]+)-(?P<patient>\d+-[^-]+)-(?P<zoom>40|100|200|400)-\d+")
KINDS = {"B": "benign", "M": "malignant"}
COUNTS = {  # images by kind and magnification: table 2 of the paper
    ("B", 40): 625,
    ("B", 100): 644,
    ("B", 200): 623,
    ("B", 400): 588,
    ("M", 40): 1370,
    ("M", 100): 1437,
    ("M", 200): 1390,
    ("M", 400): 1232,
}
FOLDERS = 82  # patient folders; patient 14-13412 has two, for two tumours
SIZES = {(700, 460), (700, 456)}  # width, height


def check_breakhis(images: Sequence[Checked]) -> tuple[list[Rejected], tuple[str, ...]]:
    """The files of a BreakHis folder that contradict it, and sentences on what it holds and lacks.

    Both are empty for any other set. Refused are names of another form and images in a folder of another magnification
    or kind; a part of the set is accepted, and what is missing is counted.
    """
    names = {image: NAME.fullmatch(PurePosixPath(image.file.path).stem) for image in images}
    if not any(names.values()):
        return [], ()
    rejected = []
    known: list[tuple[Checked, re.Match[str]]] = []
    for image, name in names.items():
        if name is None:
            rejected.append(Rejected(image.file.path, "is not named like an image of BreakHis"))
        elif (folder := _contradiction(image.file.path, name)) is not None:
            rejected.append(Rejected(image.file.path, f"lies in {folder}, which its name contradicts"))
        else:
            known.append((image, name))
    return rejected, tuple(_sentences(known))


def _contradiction(path: str, name: re.Match[str]) -> str | None:
    """The folder on the path that names another magnification or kind than the file."""
    expected = {f"{name['zoom']}X", KINDS[name["kind"]]}
    others = {*(f"{zoom}X" for _, zoom in COUNTS), *KINDS.values()} - expected
    return next((part for part in PurePosixPath(path).parts[:-1] if part in others), None)


def _sentences(known: Sequence[tuple[Checked, re.Match[str]]]) -> list[str]:
    found = Counter((name["kind"], int(name["zoom"])) for _, name in known)
    patients = {name["patient"] for _, name in known}
    folders = {(name["tumour"], name["patient"]) for _, name in known}
    by_zoom: Counter[int] = Counter()
    for (_, zoom), count in COUNTS.items():
        by_zoom[zoom] += count
    counts = ", ".join(
        f"{sum(found[kind, zoom] for kind in KINDS):,} of {total:,} at {zoom}X" for zoom, total in by_zoom.items()
    )
    twice = len(folders) - len(patients)
    also = f", {twice} of them with two tumours" if twice else ""
    whole = found == Counter(COUNTS) and len(folders) == FOLDERS
    sentences = [
        f"{'the whole of BreakHis' if whole else 'a part of BreakHis'}: {len(known):,} of {sum(COUNTS.values()):,} "
        f"images ({counts}), {len(folders)} of {FOLDERS} patient folders, {len(patients)} patients{also}"
    ]
    for (kind, zoom), count in COUNTS.items():
        if found[kind, zoom] != count:
            what = f"{KINDS[kind]} images at {zoom}X: {found[kind, zoom]:,} instead of {count:,}"
            sentences.append(f"{what}; more than were published" if found[kind, zoom] > count else what)
    if other := [image for image, _ in known if (image.width, image.height) not in SIZES]:
        first = other[0]
        sentences.append(
            f"{len(other):,} of {len(known):,} images do not have the published sizes, 460x700 or 456x700 pixels "
            f"(height x width), e.g. {first.file.path} ({first.height}x{first.width}): they were resampled or cropped"
        )
    return sentences
