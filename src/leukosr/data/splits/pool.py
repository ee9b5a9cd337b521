"""The images that a study of few images uses, whatever its protocols make of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from leukosr.data.splits.shares import Candidate, by_class, drawn
from leukosr.errors import LeukoError


def pooled(items: Sequence[Candidate], most: int | None, seed: int) -> list[Candidate]:
    """At most `most` images of the set, chosen over all sources; null keeps all. References stay as they are.

    Each class takes its images from its sources in turn, copies of a source at random. It has one image of every source
    if `most` allows; what is left goes to the classes with the fewest images. A source that is in two parts of the set
    counts in both. Raises LeukoError where an image has no source, or there are fewer images than classes.
    """
    if most is None:
        return list(items)
    usable = [item for item in items if item.part != "reference"]
    if unknown := [item.path for item in usable if not item.source]:
        raise LeukoError(
            f"prepare.pool = {most}: images are chosen over their sources, but {len(unknown)} of {len(usable)} have "
            f"none, e.g. {unknown[0]}: complete sources.csv, or set prepare.pool to null"
        )
    queues = {label: _in_turn(drawn(own, seed, "pool", label)) for label, own in by_class(usable).items()}
    if most < len(queues):
        raise LeukoError(f"prepare.pool = {most}: must be at least {len(queues)}, an image of each class")
    kept = {item.id for label, count in _counts(queues, most).items() for item in queues[label][:count]}
    return [item for item in items if item.part == "reference" or item.id in kept]


def _in_turn(items: Sequence[Candidate]) -> list[Candidate]:
    """The first image of every source and part, then the second of each, and so on."""
    rounds: dict[int, list[Candidate]] = defaultdict(list)
    taken: Counter[tuple[str, str]] = Counter()
    for item in items:
        rounds[taken[item.part, item.source]].append(item)
        taken[item.part, item.source] += 1
    return [item for _, each in sorted(rounds.items()) for item in each]


def _counts(queues: dict[str, list[Candidate]], most: int) -> dict[str, int]:
    """How many images of each class: one per source unless these are too many, then one more of the rarest class."""
    counts = {label: len({(item.part, item.source) for item in queue}) for label, queue in queues.items()}
    if sum(counts.values()) > most:
        counts = dict.fromkeys(queues, 0)
    while sum(counts.values()) < most:
        left = [label for label, queue in queues.items() if counts[label] < len(queue)]
        if not left:
            break
        counts[min(left, key=lambda label: counts[label])] += 1
    return counts
