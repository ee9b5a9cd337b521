"""The manifest: the one place that says which image plays which role."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from leukosr.data.catalogue import Checked, Rejected
from leukosr.errors import LeukoError
from leukosr.files import new_file

CLASSIFIER_ROLES = ("classifier_train", "classifier_test")


@dataclass(frozen=True)
class Row:
    """One image: `path` below the data root, size in pixels, `source` empty where it is not known."""

    id: str
    path: str
    label: str
    source: str
    width: int
    height: int
    role_paper: str
    role_source_disjoint: str


COLUMNS = tuple("class" if field.name == "label" else field.name for field in fields(Row))


def make_rows(
    images: Sequence[Checked], sources: dict[str, str], paper: dict[str, str], disjoint: dict[str, str]
) -> list[Row]:
    """Join the checked images with their sources and roles, sorted by id."""
    rows = [
        Row(
            id=image.found.image_id,
            path=image.found.path,
            label=image.found.label,
            source=sources.get(image.found.image_id, ""),
            width=image.width,
            height=image.height,
            role_paper=paper.get(image.found.image_id, "unused"),
            role_source_disjoint=disjoint.get(image.found.image_id, ""),
        )
        for image in images
    ]
    return sorted(rows, key=lambda row: row.id)


def write_manifest(path: Path, rows: Iterable[Row]) -> None:
    """Write manifest.csv atomically."""
    with new_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(astuple(row) for row in rows)


def write_rejected(path: Path, rejected: Iterable[Rejected]) -> None:
    """Write rejected.csv (`path, reason`) atomically."""
    with new_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "reason"))
        writer.writerows((item.path, item.reason) for item in rejected)


def read_manifest(path: Path) -> list[Row]:
    """Read manifest.csv. Raises LeukoError when it is missing or has other columns."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = tuple(next(reader, ()))
            if header != COLUMNS:
                raise LeukoError(f"{path} has the columns {header}, expected {COLUMNS}: run `dvc repro prepare`")
            return [Row(r[0], r[1], r[2], r[3], int(r[4]), int(r[5]), r[6], r[7]) for r in reader]
    except FileNotFoundError:
        raise LeukoError(f"{path} does not exist: run `dvc repro prepare`") from None
    except (IndexError, ValueError) as error:
        raise LeukoError(f"{path} is damaged ({error}): run `dvc repro prepare`") from None


def with_role(rows: Iterable[Row], *roles: str) -> list[Row]:
    """The rows whose role under the `paper` protocol is one of `roles`."""
    return [row for row in rows if row.role_paper in roles]


def read_sources(root: Path) -> dict[str, str]:
    """Image id -> source from `sources.csv` in the data root; empty where the set has none."""
    path = root / "sources.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {"path", "source"} <= set(reader.fieldnames or []):
            raise LeukoError(f"{path} needs the columns path and source; it has {reader.fieldnames}")
        known = [row for row in reader if row["path"] and row["source"]]  # an empty cell is no common source
        return {str(Path(row["path"]).with_suffix("").as_posix()): row["source"] for row in known}
