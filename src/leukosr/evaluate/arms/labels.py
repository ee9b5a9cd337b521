"""Labels that are written in more than one way: `0` and `0.0`, `Basophil` and `basophil`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from leukosr.errors import LeukoError
from leukosr.quoting import listed
from leukosr.tables import one_spelling, spelling_key


def agreed_labels(
    path: Path, true: Iterable[str], predicted: Iterable[str], named: Sequence[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """How to spell the labels of a table, and what to say of it: written -> meant, for those that are respelt.

    A label is spelt as the file names its classes (`named`, of the columns `p_<class>`), else as the true labels are,
    where exactly one of these equals it but for case or the form of a number. Raises LeukoError for true labels that
    are spelt in two ways, and where no predicted label is a true one although no column says what the classes are.
    """
    trues, others = set(true), set(predicted)
    known = set(named) or trues
    meant: dict[str, list[str]] = defaultdict(list)
    for label in sorted(known):
        meant[spelling_key(label)].append(label)
    if not named:
        one_spelling(sorted(trues), f"{path} writes one true label")
    spelling = {
        label: meant[spelling_key(label)][0]
        for label in sorted(trues | others)
        if label not in known and len(meant.get(spelling_key(label), ())) == 1
    }
    read = {spelling.get(label, label) for label in others}
    if not named and read.isdisjoint(trues):
        raise LeukoError(
            f"{path}: no predicted label occurs among the true ones, which are {listed(sorted(trues))}; predicted are "
            f"{listed(sorted(others))}"
        )
    notes = (f"{path}: {', '.join(f'{a!r} is read as {b!r}' for a, b in spelling.items())}",) if spelling else ()
    return spelling, notes
