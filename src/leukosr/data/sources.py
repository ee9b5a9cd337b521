"""The `sources.csv` of a set: which images show the same micrograph, cell or patient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from leukosr.data.catalogue import Checked
from leukosr.data.paths import readings
from leukosr.errors import LeukoError
from leukosr.quoting import listed, short
from leukosr.tables import one_spelling, read_table

NAME = "sources.csv"


@dataclass(frozen=True)
class Sources:
    """Image id -> source, of the images whose source is known; `notes` say which rows and images do not match."""

    by_image: dict[str, str]
    notes: tuple[str, ...] = ()


def read_sources(
    root: Path, images: Sequence[Checked], found: Path | None = None, pattern: str | None = None
) -> Sources:
    """The sources of images from `sources.csv` in the data root, where the set comes with one.

    Else what the group of `pattern` holds of each file's name; else from `sources.csv` in the folder `found`, which the
    stage `provenance` wrote; else none. The images are in a column `path` or, as `leukosr provenance` writes it,
    `image`; suffixes need not agree. Empty cells are not one common source. Raises LeukoError where no row names an
    image, for two sources of one image and for a source that is spelt in two ways.
    """
    if pattern is not None and not (root / NAME).is_file():
        return _by_name(images, pattern)
    folder = next((each for each in (root, found) if each is not None and (each / NAME).is_file()), None)
    if folder is None:
        return Sources({})
    path = folder / NAME
    table = read_table(path, ("source",), "the sources of a set (path, source)")
    column = next((name for name in ("path", "image") if name in table), None)
    if column is None:
        raise LeukoError(f"{path} needs the columns path and source; it has {listed(list(table.columns))}")
    table.loc[table["source"].str.lower() == "nan", "source"] = ""  # an empty cell, as tables of numbers write it
    one_spelling(table["source"], f"{path} writes one source")
    known = table[table["source"] != ""]
    by_image, unmatched = _matched(path, list(known[[column, "source"]].itertuples()), images)
    if len(known) and not by_image:
        example = f"; the images are called e.g. {images[0].file.path}" if images else ""
        raise LeukoError(
            f"none of the {len(known)} paths in {path} is an image of the set, e.g. {short(unmatched[0])}{example}"
        )
    notes = []
    if pattern is not None:
        notes.append(f"prepare.source_pattern is not used, as {path} names the sources")
    if unmatched:
        notes.append(
            f"{len(unmatched)} of {len(known)} rows of {path} name no image of the set, e.g. {short(unmatched[0])}"
        )
    without = [image.file.path for image in images if image.file.image_id not in by_image]
    if without and folder == root:  # the stage `provenance` looks only at what the budget can use
        notes.append(f"{len(without)} of {len(images)} images have no source in {path}, e.g. {short(without[0])}")
    return Sources(by_image, tuple(notes))


def _by_name(images: Sequence[Checked], pattern: str) -> Sources:
    matches = {image.file: re.search(pattern, PurePosixPath(image.file.path).name) for image in images}
    without = [found.path for found, match in matches.items() if not (match and match[1])]
    if without:
        raise LeukoError(
            f"prepare.source_pattern '{pattern}' finds no source in the names of {len(without)} of {len(images)} "
            f"images, e.g. {short(without[0])}: correct it, or take these images away"
        )
    return Sources({found.image_id: match[1] for found, match in matches.items() if match})


def _matched(
    path: Path, rows: Sequence[tuple[int, str, str]], images: Sequence[Checked]
) -> tuple[dict[str, str], list[str]]:
    """Image id -> source, and the paths of the rows that match no image. A path with its suffix beats one without."""
    exact = {image.file.path: image.file.image_id for image in images}
    ids = {image.file.image_id for image in images}
    given: dict[bool, dict[str, tuple[str, int]]] = {True: {}, False: {}}
    unmatched = []
    for line, name, source in rows:
        image_id = next((exact[text] for text in readings(name) if text in exact), None)
        whole = image_id is not None
        if image_id is None:
            bare = (str(PurePosixPath(text).with_suffix("")) for text in readings(name) if PurePosixPath(text).name)
            image_id = next((text for text in (*readings(name), *bare) if text in ids), None)
        if image_id is None:
            unmatched.append(name)
            continue
        other, earlier = given[whole].setdefault(image_id, (source, line))
        if other != source:
            raise LeukoError(
                f"{path} line {line} gives {name} the source {source}, line {earlier} the source {other}: keep one"
            )
    return {image_id: source for image_id, (source, _) in (given[False] | given[True]).items()}, unmatched
