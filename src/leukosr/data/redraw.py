"""Another draw of which images a classifier trains on and is tested on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from leukosr.data.manifest import Row, for_classifiers
from leukosr.data.splits import SPLITS
from leukosr.engine.seeding import stream_rng
from leukosr.settings import Protocol


def redrawn(rows: Sequence[Row], protocol: Protocol, seed: int) -> list[Row]:
    """The manifest with the classifiers' roles drawn again; seed 0 leaves them unchanged.

    Within each class the roles are permuted over images, or over sources where the protocol keeps these apart (an
    image's role goes with its source), so that every role keeps its number of images or sources. A source that shows
    cells of several classes keeps its role. What SR uses stays. A source keeps only the images that the limits of its
    old role left it, so roles keep their number of images only where there are no limits.
    """
    if seed == 0:
        return list(rows)
    by_source = SPLITS[protocol].disjoint
    unit_of = {row.id: row.source if by_source else row.id for row in rows if for_classifiers(row.role(protocol))}
    role_of = {unit_of[row.id]: row.role(protocol) for row in rows if row.id in unit_of}
    labels: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.id in unit_of:
            labels[unit_of[row.id]].add(row.label)
    units: dict[str, list[str]] = defaultdict(list)
    for unit, found in sorted(labels.items()):
        if len(found) == 1:
            units[min(found)].append(unit)
    given = dict(role_of)
    for label, members in sorted(units.items()):
        order = stream_rng(seed, "split", "redrawn", protocol, label).permutation(len(members))
        given |= {members[i]: role_of[member] for i, member in zip(order, members, strict=True)}
    return [
        replace(row, roles={**row.roles, protocol: given[unit_of[row.id]]}) if row.id in unit_of else row
        for row in rows
    ]
