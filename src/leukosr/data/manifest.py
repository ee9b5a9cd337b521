"""The manifest: the one place that says which image plays which role."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from leukosr.config import Protocol, Study
from leukosr.data.catalogue import Checked, Rejected
from leukosr.data.paths import stays_below
from leukosr.errors import LeukoError
from leukosr.files import new_file
from leukosr.quoting import listed
from leukosr.tables import read_own_rows, write_table

SR_ROLES = ("sr_train", "sr_val")
CLASSIFIER_ROLES = ("classifier_train", "classifier_val", "classifier_test")
ROLES = (*SR_ROLES, *CLASSIFIER_ROLES, "reference", "unused")
FOLD = "fold_"  # and the fold's number from 1: tested by classifiers that train on the other folds
_FOLD_NUMBER = re.compile(rf"{FOLD}[0-9]{{1,2}}")


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

    def role(self, protocol: Protocol) -> str:
        """What the image is used for under a protocol."""
        return self.role_paper if protocol == "paper" else self.role_source_disjoint


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
    """Write manifest.csv atomically, by the convention of `leukosr.tables`."""
    with new_file(path) as temporary:
        write_table(temporary, COLUMNS, map(astuple, rows))


def write_rejected(path: Path, rejected: Iterable[Rejected]) -> None:
    """Write rejected.csv (`path, reason`) atomically, by the convention of `leukosr.tables`."""
    with new_file(path) as temporary:
        write_table(temporary, ("path", "reason"), ((item.path, item.reason) for item in rejected))


def read_manifest(path: Path) -> list[Row]:
    """Read manifest.csv.

    Raises LeukoError when it is missing, has other columns or is damaged: a row with an unknown role, with an id or a
    path that leaves its folder, or with the id of an earlier row.
    """
    try:
        header, *cells = read_own_rows(path) or [[]]
        if tuple(header) != COLUMNS:
            raise LeukoError(f"{path} has the columns {listed(header)}, expected {listed(COLUMNS)}")
        rows = [Row(r[0], r[1], r[2], r[3], int(r[4]), int(r[5]), r[6], r[7]) for r in cells]
        _check_rows(rows)
    except FileNotFoundError:
        raise LeukoError(f"{path} does not exist: run `dvc repro prepare`") from None
    except ValueError as error:
        raise LeukoError(f"{path} is damaged ({error}): run `dvc repro prepare`") from None
    except LeukoError as error:
        raise LeukoError(f"{error}: run `dvc repro prepare`") from None
    return rows


def _check_rows(rows: Iterable[Row]) -> None:
    """Raise ValueError for a row that `prepare` cannot have written: stages write files that are called like ids."""
    ids = set()
    for row in rows:
        if not (stays_below(row.id) and stays_below(row.path)):
            raise ValueError(f"{row.id!r}, {row.path!r}: no path below its folder")
        if row.id in ids:
            raise ValueError(f"{row.id!r} stands twice")
        ids.add(row.id)
        for role in (row.role_paper, row.role_source_disjoint):
            if role not in (*ROLES, "") and not _FOLD_NUMBER.fullmatch(role):
                raise ValueError(f"{row.id!r} has the unknown role {role!r}")


def with_role(rows: Iterable[Row], protocol: Protocol, *roles: str) -> list[Row]:
    """The rows whose role under a protocol is one of `roles`."""
    return [row for row in rows if row.role(protocol) in roles]


def folds_of(rows: Iterable[Row], protocol: Protocol) -> list[str]:
    """The roles that are folds, in order; empty where there is one training and one test part."""
    found = {row.role(protocol) for row in rows if row.role(protocol).startswith(FOLD)}
    return sorted(found, key=lambda role: int(role.removeprefix(FOLD)))


def for_classifiers(role: str) -> bool:
    """Whether a classifier trains on images of this role or is tested on them."""
    return role in CLASSIFIER_ROLES or role.startswith(FOLD)


def seen_by_classifiers(rows: Iterable[Row], protocols: Sequence[Protocol]) -> list[Row]:
    """The rows that a classifier trains on or is tested on under any of the protocols."""
    return [row for row in rows if any(for_classifiers(row.role(protocol)) for protocol in protocols)]


def used_rows(rows: Iterable[Row], study: Study) -> list[Row]:
    """The rows that SR or a classifier of the study uses."""
    return [
        row
        for row in rows
        if row.role(study.sr_protocol) in SR_ROLES
        or any(for_classifiers(row.role(protocol)) for protocol in study.protocols)
    ]


def check_disjoint(rows: Iterable[Row]) -> None:
    """Raise LeukoError unless no source plays two parts under `source_disjoint`.

    Parts are SR, the classifiers' training, validation and test, and each fold.
    """
    part_of: dict[str, str] = {}
    for row in rows:
        role = row.role_source_disjoint
        if role not in SR_ROLES and not for_classifiers(role):
            continue
        part = "SR training" if role in SR_ROLES else role
        if not row.source:
            raise LeukoError(f"the manifest is not source-disjoint: {row.id} is used as {part} but has no source")
        if part_of.setdefault(row.source, part) != part:
            raise LeukoError(
                f"the manifest is not source-disjoint: source {row.source} is used as {part_of[row.source]} and, by "
                f"{row.id}, as {part}; make it again with `dvc repro --force --single-item prepare`"
            )
    if not part_of:
        raise LeukoError("the manifest gives no image a role under source_disjoint: run `dvc repro prepare`")
