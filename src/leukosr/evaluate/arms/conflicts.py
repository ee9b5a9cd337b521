"""Label conflicts: sources whose images carry two labels, though they show one cell or one field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from leukosr.evaluate.arms.predictions import Predictions


def conflicting_sources(labels: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The known sources, of pairs (source, label), that occur with more than one label."""
    seen = defaultdict(set)
    for source, label in labels:
        if source:
            seen[source].add(label)
    return frozenset(source for source, several in seen.items() if len(several) > 1)


def without_conflicts(arms: Sequence[Predictions]) -> tuple[list[Predictions], int]:
    """The arms without images of conflicting sources, and how many images of the first arm that leaves out."""
    tables = [arm.table for arm in arms]
    sources = conflicting_sources(
        pair for table in tables for pair in table[["source", "true"]].drop_duplicates().itertuples(index=False)
    )
    kept = [replace(arm, table=arm.table[~arm.table["source"].isin(sources)]) for arm in arms]
    return kept, tables[0]["image"].nunique() - kept[0].table["image"].nunique()
