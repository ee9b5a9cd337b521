"""A study that was run in pieces: the arms of several published results, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.predictions import Predictions, read_predictions
from leukosr.quoting import listed, require_folder
from leukosr.report.snapshot import Snapshot

REMEDY = "name a folder that `leukosr publish` wrote"
SAME = ("prepare", "image", "degrade")  # the sections of params.yaml that make the cells and their degraded images
PLACES = frozenset(("sources", "reads"))  # paths, which hold the study's name
SPEED = frozenset(("precision", "channels_last", "batch", "tile", "overlap"))  # how a trained network is computed
TRAINED_BY = frozenset(("seed", "sizes", "precision", "channels_last"))  # not what it is trained for, or derived


@dataclass(frozen=True)
class Piece:
    """A published result that brings arms: experiments under one protocol."""

    snapshot: Snapshot

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.snapshot.folder.resolve().name

    @property
    def params(self) -> Mapping[str, Any]:
        """Its parameters, of whichever edition."""
        return self.snapshot.params

    @property
    def protocol(self) -> str:
        """The protocol under which its classifiers were tested."""
        return str(self.params["study"]["protocol"])

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """What its page calls each experiment."""
        return self.snapshot.labels(self.protocol)

    def classifier(self, experiment: str) -> Mapping[str, Any]:
        """The settings of an experiment's classifiers, but for how they are computed."""
        return _without(self.params["classify"][experiment]["classifier"], PLACES | {"precision", "channels_last"})

    def precision(self, experiment: str) -> str:
        """What the classifiers of an experiment were computed in, as `precision` says."""
        return str(self.params["classify"][experiment]["classifier"]["precision"])

    def how_made(self, experiment: str) -> Mapping[str, Any]:
        """The settings that made the images of an experiment, but for the seed and how they are computed."""
        arm = self.params["classify"][experiment]["test"]
        upscaled = self.params.get("upscale", {}).get(arm) or {}
        made = {"upscale": _without(upscaled, PLACES | SPEED)}
        if training := self._training(experiment):
            made["train_sr"] = _without(training, PLACES | TRAINED_BY)
        return made

    def network(self, experiment: str) -> int | None:
        """The seed of the one SR network behind an experiment; None where none was trained, or several were."""
        training = self._training(experiment)
        if training is None or self.params["study"].get("sr_seeds"):
            return None
        seed = training.get("seed")
        return int(self.params["study"]["seed"] if seed is None else seed)

    def quality(self, experiment: str) -> Mapping[str, Any]:
        """The image quality of an experiment's arm; nothing where it was not measured."""
        found = f"metrics/quality/{self.params['classify'][experiment]['test']}/metrics.json"
        return self.snapshot.record(found) if (self.snapshot.folder / found).is_file() else {}

    def _training(self, experiment: str) -> Mapping[str, Any] | None:
        arm = self.params["classify"][experiment]["test"]
        name = (self.params.get("upscale", {}).get(arm) or {}).get("training")
        return self.params.get("train_sr", {}).get(name) if isinstance(name, str) else None


@dataclass(frozen=True)
class CombinedArm:
    """An experiment: what its classifiers said, and which results say it.

    pieces: those whose runs count. again: those that have the same experiment, which no trained network made, once
    more; they do not count.
    """

    name: str
    label: str
    predictions: Predictions
    pieces: tuple[Piece, ...]
    again: tuple[Piece, ...]

    @property
    def networks(self) -> list[int]:
        """The seeds of its SR networks; none where no network was trained."""
        if "sr_seed" in self.predictions.table:
            return sorted(int(seed) for seed in self.predictions.table["sr_seed"].unique())
        return [seed for seed in (self.pieces[0].network(self.name),) if seed is not None]

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


def read_pieces(results: Sequence[Path]) -> list[Piece]:
    """Published results of the same cells, degraded alike, under one protocol.

    Raises LeukoError for fewer than two, two of one name, and those that differ in that.
    """
    if len(results) < 2:
        raise LeukoError("name two results or more: a single one has a page of its own")
    pieces = [Piece(_snapshot(each)) for each in results]
    if len({each.name for each in pieces}) < len(pieces):
        raise LeukoError(f"two of the results have one name: {listed([str(each) for each in results])}; name each once")
    for each in pieces:
        if len(each.snapshot.protocols) > 1:
            raise LeukoError(f"{each.snapshot.folder} has several protocols: results of one can be combined")
        if key := _unlike(pieces[0], each):
            raise LeukoError(
                f"{each.snapshot.folder} and {pieces[0].snapshot.folder} differ in {key}, so they are not pieces of "
                "one study: combine results of the same cells in the same roles, degraded alike"
            )
    return pieces


def combined_arms(pieces: Sequence[Piece], order: Sequence[str] = ()) -> dict[str, CombinedArm]:
    """Every experiment of the pieces by its name: those in `order` first, as there, then the others.

    An experiment that several have counts once, as the first of them says, unless SR networks of different seeds made
    its images: then it has the runs of all. Raises LeukoError where such networks have a seed in common or were not
    trained alike, or the classifiers of one experiment differ.
    """
    there = dict.fromkeys(name for each in pieces for name in each.labels)
    names = dict.fromkeys([*(name for name in order if name in there), *there])
    return {name: _combined(name, [each for each in pieces if name in each.labels]) for name in names}


def refuse_unlike_classifiers(arms: Mapping[str, CombinedArm], pairs: Sequence[tuple[str, str]]) -> None:
    """Raise LeukoError where two experiments that are to be compared have different classifiers."""
    for first, second in pairs:
        one, other = (arms[name].pieces[0] for name in (first, second))
        if key := difference(one.classifier(first), other.classifier(second)):
            raise LeukoError(
                f"the classifiers of {first} ({one.name}) and {second} ({other.name}) differ in {key}, so their "
                "difference would not be that of the images alone: combine results with one classifier"
            )


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first setting, by its dotted key, in which two differ; one that only a later edition has is no difference."""
    return next(_differences(one, other), None)


def _unlike(one: Piece, other: Piece) -> str | None:
    """What says that two results do not have the same cells in the same roles, degraded alike."""
    if one.protocol != other.protocol:
        return "study.protocol"
    sections = ({name: each.params[name] for name in SAME} for each in (one, other))
    if key := difference(*sections):
        return key
    roles = [file for each in (one, other) if (file := each.snapshot.folder / "roles.csv").is_file()]
    return "roles.csv" if len({file.read_bytes() for file in roles}) > 1 else None


def _combined(name: str, pieces: Sequence[Piece]) -> CombinedArm:
    first = pieces[0]
    tables = [read_predictions(each.snapshot.table(name, each.protocol), name) for each in pieces]
    for each in pieces[1:]:
        for what, one, other in (
            ("the classifiers", first.classifier(name), each.classifier(name)),
            ("how its images are made", first.how_made(name), each.how_made(name)),
        ):
            if key := difference(one, other):
                raise LeukoError(
                    f"{first.snapshot.folder} and {each.snapshot.folder} both have {name}, but {what} differ in {key}: "
                    "leave one of the results out"
                )
    label = first.labels[name]
    if not any(_by_networks(each, name, table) for each, table in zip(pieces, tables, strict=True)):
        return CombinedArm(name, label, tables[0], (first,), tuple(pieces[1:]))
    if len(pieces) == 1:
        return CombinedArm(name, label, tables[0], (first,), ())
    rows = [_with_network(each, name, table) for each, table in zip(pieces, tables, strict=True)]
    joined = pd.concat(rows, ignore_index=True)
    seen: dict[int, Piece] = {}
    for each, own in zip(pieces, rows, strict=True):
        for seed in own["sr_seed"].unique():
            if seed in seen:
                raise LeukoError(
                    f"{seen[seed].snapshot.folder} and {each.snapshot.folder} both have {name} by a network of seed "
                    f"{seed}: leave one of the results out"
                )
            seen[seed] = each
    return CombinedArm(name, label, replace(tables[0], table=joined), tuple(pieces), ())


def _by_networks(piece: Piece, name: str, said: Predictions) -> bool:
    return "sr_seed" in said.table or piece.network(name) is not None


def _with_network(piece: Piece, name: str, said: Predictions) -> pd.DataFrame:
    """The rows with the SR seed, which results of a single network do not write."""
    return (
        said.table
        if "sr_seed" in said.table
        else said.table.assign(sr_seed=piece.network(name)).astype({"sr_seed": object})
    )


def _snapshot(result: Path) -> Snapshot:
    snapshot = Snapshot(require_folder(result, REMEDY))
    if not (result / "params.yaml").is_file() or not (result / "plots/confusion").is_dir():
        raise LeukoError(f"{result} holds no params.yaml and plots/confusion: {REMEDY}")
    return snapshot


def _without(settings: Mapping[str, Any], left_out: frozenset[str] | set[str]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in left_out}


def _differences(one: Mapping[str, Any], other: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key in one:
        if key not in other or key in PLACES:
            continue
        if isinstance(one[key], Mapping) and isinstance(other[key], Mapping):
            yield from _differences(one[key], other[key], f"{above}{key}.")
        elif one[key] != other[key]:
            yield f"{above}{key}"
