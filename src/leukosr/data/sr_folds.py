"""Folds of super-resolution: of each, one network that trained on all the others makes the images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from leukosr.data.manifest import FOLD, SR_ROLES, SR_TEST, Row
from leukosr.data.settings import Prepare
from leukosr.data.study import Study
from leukosr.engine.seeding import stream_rng


def sr_folds(study: Study, prepare: Prepare) -> tuple[str, ...]:
    """The folds that every SR method trains a network for; empty where it trains once for all images."""
    split, count = study.split(study.sr_protocol), prepare.source_disjoint.folds
    return tuple(f"{FOLD}{k + 1}" for k in range(count)) if count and split.folds and not split.own_sr_part else ()


def seen_from(fold: int | str | None, rows: Sequence[Row], study: Study) -> list[Row]:
    """The rows as the network of a fold sees them: SR is tested on the fold and trains on the others.

    One image of each of the other sources, drawn at random, validates instead; it chooses nothing unless an arm takes
    the best weights. For a network of no fold the rows are returned as they are.
    """
    if not isinstance(fold, str):
        return list(rows)
    protocol = study.sr_protocol
    others: dict[str, list[str]] = defaultdict(list)
    roles = {}
    for row in rows:
        if row.role(protocol) == fold:
            roles[row.id] = SR_TEST
        elif row.role(protocol).startswith(FOLD):
            others[row.source].append(row.id)
            roles[row.id] = SR_ROLES[0]
    for source, ids in sorted(others.items()):
        drawn = stream_rng(study.seed, "split", "sr_folds", fold, source).integers(len(ids))
        roles[sorted(ids)[drawn]] = SR_ROLES[1]
    return [replace(row, roles={protocol: roles.get(row.id, "unused")}) for row in rows]
