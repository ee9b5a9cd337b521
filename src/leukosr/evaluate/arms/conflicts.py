"""Label conflicts: sources whose images carry two labels, though they show one cell or one field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd

from leukosr.evaluate.arms.predictions import Predictions

MOST = 0.5  # of the sources with several images: where more have two labels, a source is no cell but e.g. a patient


def conflicting_sources(labels: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The known sources that occur with more than one label; (source, label) of each image.

    Empty where most sources with several images do: these are patients or slides, whose cells differ.
    """
    seen = defaultdict(list)
    for source, label in labels:
        if source:
            seen[source].append(label)
    several = [source for source, own in seen.items() if len(own) > 1]
    found = [source for source in several if len(set(seen[source])) > 1]
    return frozenset(found if len(found) <= MOST * len(several) else ())


def without_conflicts(arms: Sequence[Predictions]) -> tuple[list[Predictions], int]:
    """The arms without images of conflicting sources, and how many images of the first arm that leaves out."""
    images = pd.concat([arm.table[["image", "source", "true"]] for arm in arms]).drop_duplicates()
    sources = conflicting_sources(images[["source", "true"]].itertuples(index=False))
    return without_sources(arms, sources)


def without_sources(arms: Sequence[Predictions], sources: frozenset[str]) -> tuple[list[Predictions], int]:
    """The arms without images of these sources, and how many images of the first arm that leaves out."""
    kept = [replace(arm, table=arm.table[~arm.table["source"].isin(sources)]) for arm in arms]
    return kept, arms[0].table["image"].nunique() - kept[0].table["image"].nunique()
