"""A study that was run in pieces: the arms of several published results, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.predictions import Predictions
from leukosr.report.pieces import Piece, both_filled, difference


@dataclass(frozen=True)
class CombinedArm:
    """An experiment: what its classifiers said, and which results say it.

    predictions: with the seed of the SR network wherever one was trained. pieces: the results whose runs count.
    again: those that have the same experiment once more, which no trained network made; they do not count.
    """

    name: str
    label: str
    predictions: Predictions
    pieces: tuple[Piece, ...]
    again: tuple[Piece, ...]

    @property
    def networks(self) -> list[int]:
        """The seeds of its SR networks; none where no network was trained."""
        table = self.predictions.table
        return sorted(int(seed) for seed in table["sr_seed"].unique()) if "sr_seed" in table else []

    @property
    def precision(self) -> str:
        """What its classifiers, and its SR networks, were computed in."""
        return "; ".join(dict.fromkeys(each.precision(self.name) for each in self.pieces))

    @property
    def untrained(self) -> bool:
        """Whether some network behind its images gave back what went in."""
        return any(each.quality(self.name).get("did_not_train") for each in self.pieces)

    def quality(self, measure: str) -> float | None:
        """Mean PSNR in dB or SSIM over its networks; None where undefined or not measured."""
        means, counts = [], []
        for each in self.pieces:
            found = each.quality(self.name)
            if found.get(measure) is None:
                return None
            means.append(float(found[measure]))
            counts.append(len(found.get("per_sr_seed", ())) or 1)
        return float(np.average(means, weights=counts))


def combined_arms(
    pieces: Sequence[Piece], order: Sequence[str] = (), seeds: Sequence[int] = ()
) -> dict[str, CombinedArm]:
    """Every experiment of the pieces by its name: those in `order` first, as there, then the others.

    An experiment that several have counts once, as the one with most runs of `seeds` says, else with most runs of any,
    the first of such, unless SR networks of different seeds made its images: then it has the runs of all. Raises
    LeukoError where such networks have a seed in common or were not trained alike, or the classifiers of one experiment
    differ.
    """
    there = dict.fromkeys(name for each in pieces for name in each.labels)
    names = dict.fromkeys([*(name for name in order if name in there), *there])
    return {name: _combined(name, [each for each in pieces if name in each.labels], seeds) for name in names}


def refuse_unlike_classifiers(arms: Mapping[str, CombinedArm], pairs: Sequence[tuple[str, str]]) -> None:
    """Raise LeukoError where two experiments that are to be compared have different classifiers."""
    for first, second in pairs:
        one, other = (arms[name].pieces[0] for name in (first, second))
        if key := difference(one.classifier(first), other.classifier(second), both_filled(one, other)):
            raise LeukoError(
                f"the classifiers of {first} ({one.name}) and {second} ({other.name}) differ in {key}, so their "
                "difference would not be that of the images alone: combine results with one classifier"
            )


def _combined(name: str, pieces: Sequence[Piece], seeds: Sequence[int]) -> CombinedArm:
    first = pieces[0]
    _refuse_unlike(name, pieces)
    tables = [each.snapshot.said(name, each.protocol) for each in pieces]
    rows = [_with_network(each, name, said.table) for each, said in zip(pieces, tables, strict=True)]
    label = first.labels[name]
    if "sr_seed" not in rows[0]:
        there = [{*said.table["seed"]} for said in tables]
        most = max(range(len(pieces)), key=lambda at: (len(there[at] & {*seeds}), len(there[at])))
        others = tuple(each for at, each in enumerate(pieces) if at != most)
        return CombinedArm(name, label, tables[most], (pieces[most],), others)
    seen: dict[int, Piece] = {}
    for each, own in zip(pieces, rows, strict=True):
        for seed in own["sr_seed"].unique():
            if seed in seen:
                raise LeukoError(
                    f"{seen[seed].snapshot.folder} and {each.snapshot.folder} both have {name} by a network of seed "
                    f"{seed}: leave one of the results out"
                )
            seen[seed] = each
    return CombinedArm(name, label, replace(tables[0], table=pd.concat(rows, ignore_index=True)), tuple(pieces), ())


def _refuse_unlike(name: str, pieces: Sequence[Piece]) -> None:
    first = pieces[0]
    for each in pieces[1:]:
        for what, one, other in (
            ("the classifiers", first.classifier(name), each.classifier(name)),
            ("how its images are made", first.how_made(name), each.how_made(name)),
        ):
            if key := difference(one, other, both_filled(first, each)):
                raise LeukoError(
                    f"{first.snapshot.folder} and {each.snapshot.folder} both have {name}, but {what} differ in {key}: "
                    "leave one of the results out"
                )


def _with_network(piece: Piece, name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the seed of the SR network, which results of a single network do not write."""
    network = piece.network(name)
    return rows if "sr_seed" in rows or network is None else rows.assign(sr_seed=pd.Series(network, rows.index, object))
