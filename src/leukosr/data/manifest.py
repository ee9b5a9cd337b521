"""The manifest: the one place that says which images there are and which role each plays.

manifest.csv holds the images, roles.csv beside it a row for every image and protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from leukosr.data.catalogue import Rejected
from leukosr.data.paths import stays_below
from leukosr.errors import LeukoError
from leukosr.files import new_file
from leukosr.quoting import listed
from leukosr.settings import Protocol
from leukosr.tables import read_own_rows, write_table

if TYPE_CHECKING:  # a study knows the splits, which give these rows their roles
    from leukosr.data.study import Study

SR_ROLES = ("sr_train", "sr_val")
CLASSIFIER_ROLES = ("classifier_train", "classifier_val", "classifier_test")
SR_TEST = "sr_test"  # the images that a study without classification compares
ROLES = (*SR_ROLES, SR_TEST, *CLASSIFIER_ROLES, "reference", "unused")
FOLD = "fold_"  # and the fold's number from 1: tested by classifiers that train on the other folds
_FOLD_NUMBER = re.compile(rf"{FOLD}[0-9]{{1,2}}")
BOTH = "+"  # joins the roles of an image that both SR and classifiers use: sr_train+classifier_train


@dataclass(frozen=True)
class Item:
    """One image: `path` below the data root, size in pixels; `label` and `source` are empty where not known.

    mask: the path of its mask below the data root; empty where there is none.
    """

    id: str
    path: str
    label: str
    source: str
    width: int
    height: int
    mask: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class Row(Item):
    """An image with its role under every protocol that gives it one."""

    roles: Mapping[str, str] = field(hash=False)

    def role(self, protocol: Protocol) -> str:
        """What the image is used for under a protocol; empty where that gives it no role."""
        return self.roles.get(protocol, "")

    def plays(self, protocol: Protocol, *roles: str) -> bool:
        """Whether the image has one of `roles` under a protocol, alone or with another."""
        return any(each in roles for each in self.role(protocol).split(BOTH))


COLUMNS = ("id", "path", "class", "source", "width", "height")
MASK = "mask"  # a further column, where any image has one
ROLE_COLUMNS = ("image", "protocol", "role")
_WIDE = "role_"  # manifests of the first edition have one column of roles per protocol


def make_rows(items: Iterable[Item], roles: Mapping[str, Mapping[str, str]]) -> list[Row]:
    """The images with their roles (protocol -> image id -> role), sorted by id."""
    return [
        Row(
            *_cells(item),
            {protocol: given[item.id] for protocol, given in roles.items() if item.id in given},
            mask=item.mask,
        )
        for item in sorted(items, key=lambda item: item.id)
    ]


def _cells(item: Item) -> tuple[str, str, str, str, int, int]:
    return item.id, item.path, item.label, item.source, item.width, item.height


def write_manifest(path: Path, rows: Sequence[Row]) -> None:
    """Write manifest.csv and roles.csv beside it atomically, by the convention of `leukosr.tables`."""
    with new_file(path) as temporary:
        if any(row.mask for row in rows):
            write_table(temporary, (*COLUMNS, MASK), ((*_cells(row), row.mask) for row in rows))
        else:
            write_table(temporary, COLUMNS, map(_cells, rows))
    with new_file(roles_beside(path)) as temporary:
        cells = ((row.id, protocol, role) for row in rows for protocol, role in row.roles.items())
        write_table(temporary, ROLE_COLUMNS, cells)


def roles_beside(manifest: Path) -> Path:
    """The table of roles that belongs to a manifest."""
    return manifest.with_name("roles.csv")


def write_rejected(path: Path, rejected: Iterable[Rejected]) -> None:
    """Write rejected.csv (`path, reason`) atomically, by the convention of `leukosr.tables`."""
    with new_file(path) as temporary:
        write_table(temporary, ("path", "reason"), ((item.path, item.reason) for item in rejected))


def read_manifest(path: Path) -> list[Row]:
    """Read manifest.csv with the roles.csv beside it, or a manifest of the first edition, which holds its roles itself.

    Raises LeukoError when one is missing, has other columns or is damaged: a row with an unknown role, with an id or a
    path that leaves its folder, with the id of an earlier row, or a role of an image that is not there.
    """
    try:
        header, *cells = _read(path)
        masks = header[len(COLUMNS) :] == [MASK]
        wide = [name.removeprefix(_WIDE) for name in header[len(COLUMNS) :] if name.startswith(_WIDE)]
        if tuple(header) != (*COLUMNS, *([MASK] if masks else []), *(_WIDE + name for name in wide)):
            raise LeukoError(f"{path} has the columns {listed(header)}, expected {listed(COLUMNS)}")
        roles: dict[str, dict[str, str]] = {}
        if wide:
            for row in cells:
                own = zip(wide, row[len(COLUMNS) :], strict=True)
                roles.setdefault(row[0], {protocol: role for protocol, role in own if role})
        else:
            roles = _read_roles(roles_beside(path))
        rows = [
            Row(r[0], r[1], r[2], r[3], int(r[4]), int(r[5]), roles.pop(r[0], {}), mask=r[6] if masks else "")
            for r in cells
        ]
        _check_rows(rows)
        if roles:
            raise LeukoError(f"{roles_beside(path)} gives a role to {next(iter(roles))}, which {path} does not list")
    except (ValueError, IndexError) as error:
        raise LeukoError(f"{path} is damaged ({error}): run `dvc repro prepare`") from None
    except LeukoError as error:
        raise LeukoError(f"{error}: run `dvc repro prepare`") from None
    return rows


def _read(path: Path) -> list[list[str]]:
    try:
        return read_own_rows(path) or [[]]
    except FileNotFoundError:
        raise LeukoError(f"{path} does not exist") from None


def _read_roles(path: Path) -> dict[str, dict[str, str]]:
    """Image id -> protocol -> role."""
    header, *cells = _read(path)
    if tuple(header) != ROLE_COLUMNS:
        raise LeukoError(f"{path} has the columns {listed(header)}, expected {listed(ROLE_COLUMNS)}")
    roles: dict[str, dict[str, str]] = {}
    for image, protocol, role in cells:
        if roles.setdefault(image, {}).setdefault(protocol, role) != role:
            raise LeukoError(f"{path} gives {image} two roles under {protocol}")
    return roles


def _check_rows(rows: Iterable[Row]) -> None:
    """Raise ValueError for a row that `prepare` cannot have written: stages name files after ids."""
    ids = set()
    for row in rows:
        if not all(map(stays_below, (row.id, row.path, *([row.mask] if row.mask else [])))):
            raise ValueError(f"{row.id!r}, {row.path!r}, {row.mask!r}: not a path below its folder")
        if row.id in ids:
            raise ValueError(f"{row.id!r} occurs twice")
        ids.add(row.id)
        for role in (part for roles in row.roles.values() for part in roles.split(BOTH)):
            if role not in ROLES and not _FOLD_NUMBER.fullmatch(role):
                raise ValueError(f"{row.id!r} has the unknown role {role!r}")


def with_role(rows: Iterable[Row], protocol: Protocol, *roles: str) -> list[Row]:
    """The rows that have one of `roles` under a protocol."""
    return [row for row in rows if row.plays(protocol, *roles)]


def folds_of(rows: Iterable[Row], protocol: Protocol) -> list[str]:
    """The roles that are folds, in order; empty where there is one training and one test part."""
    found = {row.role(protocol) for row in rows if row.role(protocol).startswith(FOLD)}
    return sorted(found, key=lambda role: int(role.removeprefix(FOLD)))


def for_classifiers(role: str) -> bool:
    """Whether a classifier trains on images of this role or is tested on them."""
    return role.startswith(FOLD) or any(part in CLASSIFIER_ROLES for part in role.split(BOTH))


def seen_by_classifiers(rows: Iterable[Row], protocols: Sequence[Protocol]) -> list[Row]:
    """The rows that a classifier trains on or is tested on under any of the protocols."""
    return [row for row in rows if any(for_classifiers(row.role(protocol)) for protocol in protocols)]


def arm_rows(rows: Iterable[Row], study: Study) -> list[Row]:
    """The rows that every arm has an image of: those that a classifier sees or SR is tested on."""
    return [row for row in rows if any(is_measured(row.role(protocol)) for protocol in study.protocols)]


def compared_rows(rows: Iterable[Row], study: Study) -> list[Row]:
    """The rows whose image quality is measured: those of an arm that SR has not seen in training."""
    return [row for row in arm_rows(rows, study) if not row.plays(study.sr_protocol, *SR_ROLES)]


def used_rows(rows: Iterable[Row], study: Study) -> list[Row]:
    """The rows that SR or a measure of the study uses."""
    rows = list(rows)
    measured = {row.id for row in arm_rows(rows, study)}
    return [row for row in rows if row.id in measured or row.plays(study.sr_protocol, *SR_ROLES)]


def is_measured(role: str) -> bool:
    """Whether an image of this role belongs to a measure: a classifier sees it, or SR alone is tested on it."""
    return role == SR_TEST or for_classifiers(role)


def is_tested(row: Row, protocol: Protocol) -> bool:
    """Whether a classifier, or SR alone, is tested on an image."""
    return row.role(protocol).startswith(FOLD) or row.plays(protocol, "classifier_test", SR_TEST)
