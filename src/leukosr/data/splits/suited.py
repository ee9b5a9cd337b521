"""Which protocols suit a set that somebody brought."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from leukosr.data.splits.shares import Candidate

RANDOM = "random_80_10_10"  # suits every set
NEEDED = ("train", "test")  # the parts that `official` follows


def suited(items: Sequence[Candidate]) -> Iterator[str]:
    """The protocols that suit the images, the strictest first."""
    if {item.part for item in items}.issuperset(NEEDED):
        yield "official"
    if all(item.source for item in items):
        yield "source_disjoint"
        yield "patient_disjoint"  # sources may show several classes
    yield RANDOM


def without_source(items: Sequence[Candidate]) -> list[str]:
    """Why sources are not kept apart, in a sentence, where some images name theirs and others do not; else nothing."""
    missing = sum(not item.source for item in items)
    if missing in (0, len(items)):
        return []
    return [f"source_disjoint: {missing} of {len(items)} images name no source"]


def not_followed(items: Sequence[Candidate]) -> list[str]:
    """Why the parts of a set are not kept, in a sentence, where it has some of those needed; else nothing."""
    parts = {item.part for item in items} - {"all", "reference"}
    missing = [part for part in NEEDED if part not in parts]
    if not parts or not missing:
        return []
    found = " and ".join(sorted(parts))
    return [f"official: the set has parts for {found} but none for {' or '.join(missing)}"]
