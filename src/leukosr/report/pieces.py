"""Published results as pieces of one study: what each brings, and whether they fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from leukosr.config.load import parse_params
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.declared import read_sidecar
from leukosr.evaluate.arms.pairs import Pair
from leukosr.evaluate.claims import Claims
from leukosr.quoting import listed, require_folder
from leukosr.report.snapshot import REMEDY as RESTORE
from leukosr.report.snapshot import Snapshot

REMEDY = "name a folder that `leukosr publish` wrote"
SAME = ("prepare", "image", "degrade")  # the sections of params.yaml that make the cells and their degraded images
PLACES = frozenset(("sources", "reads"))  # paths, which hold the study's name
COMPUTED = frozenset(("precision", "channels_last"))  # how a network is computed, not what
ROLES_UNKNOWN = (
    "Which cells trained what could not be compared for {}, without a roles.csv: their test cells are the same."
)
SETTINGS_UNKNOWN = (
    "Settings that only one result names could not be compared for {}, whose parameters this edition does not take."
)


@dataclass(frozen=True)
class Piece:
    """A published result that brings arms: experiments under one protocol."""

    snapshot: Snapshot

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.snapshot.folder.resolve().name

    @cached_property
    def filled(self) -> Mapping[str, Any] | None:
        """Its parameters, with defaults for settings that its edition did not know; None where they are invalid now."""
        try:
            params = parse_params(dict(self.snapshot.params), str(self.snapshot.folder / "params.yaml"))
        except LeukoError:
            return None
        return params.model_dump(mode="json")

    @property
    def params(self) -> Mapping[str, Any]:
        """Its parameters, of whichever edition, filled in where this one takes them."""
        return self.snapshot.params if self.filled is None else self.filled

    @property
    def protocol(self) -> str:
        """The protocol under which its classifiers were tested."""
        return str(self.params["study"]["protocol"])

    @property
    def cells(self) -> Mapping[str, Any]:
        """The settings that say which cells there are and how they were degraded."""
        return cells_of(self.params)

    @property
    def roles(self) -> bytes | None:
        """Which image plays which role, as a file; None where the result has none."""
        file = self.snapshot.folder / "roles.csv"
        return file.read_bytes() if file.is_file() else None

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """What its page calls each experiment."""
        return self.snapshot.labels(self.protocol)

    def classifier(self, experiment: str) -> Mapping[str, Any]:
        """The settings of an experiment's classifiers, but for how they are computed."""
        return settings_of(self.params["classify"][experiment]["classifier"])

    def how_made(self, experiment: str) -> Mapping[str, Any]:
        """The settings behind an experiment's images, but for seeds and how networks are computed.

        Which arms it trains on and is tested on, how each was made, and how each network behind these was trained.
        """
        return how_made(self.params, experiment)

    def network(self, experiment: str) -> int | None:
        """The seed of the one SR network behind an experiment; None where none was trained, or several were."""
        trainings = list(_trainings(self.params, experiment).values())
        if not trainings or self.params["study"].get("sr_seeds"):
            return None
        seed = trainings[0].get("seed")
        return int(self.params["study"]["seed"] if seed is None else seed)

    def quality(self, experiment: str) -> Mapping[str, Any]:
        """The image quality of an experiment's arm; nothing where it was not measured."""
        return self._metrics(f"quality/{self.params['classify'][experiment]['test']}")

    def precision(self, experiment: str) -> str:
        """What an experiment's classifiers were computed in, and the network behind its images: `fp32, SR bf16`."""
        classified = str(self._metrics(f"classify/{experiment}/{self.protocol}").get("precision", "unknown"))
        made = self.quality(experiment).get("precision")
        return classified if made is None else f"{classified}, SR {made}"

    def declares(self, first: str, second: str, claims: Claims, found: Pair) -> bool:
        """Whether a comparison was among the claims of the result itself, with the metric and margin of `claims`.

        It may have claimed it of fewer seeds, never of others; the runs of `found` hold all that it named, of each SR
        network that it named where the first experiment has such.
        """
        origin = read_sidecar(self.snapshot.table(first, self.protocol))
        if origin is None or second not in self.labels:
            return False
        own = origin.claims
        alike = (own.metric, own.margin) == (claims.metric, claims.margin) and {*own.seeds} <= {*claims.seeds}
        held = all({*own.seeds} <= {run.seed for run in runs} for runs in (found.runs, found.other_runs))
        there = {(run.seed, run.sr_seed) for run in found.runs}
        if own.sr_seeds and any(network is not None for _, network in there):
            held = held and {*product(own.seeds, own.sr_seeds)} <= there
        return alike and held and own.index(first, second, self.protocol) is not None

    def _metrics(self, stage: str) -> Mapping[str, Any]:
        file = f"metrics/{stage}/metrics.json"
        return self.snapshot.record(file) if (self.snapshot.folder / file).is_file() else {}


def read_pieces(results: Sequence[Path]) -> tuple[list[Piece], list[str]]:
    """Published results of the same cells in the same roles, degraded alike; and what could not be compared, in words.

    Raises LeukoError for fewer than two, two of one name, incomplete ones, and those that differ in that.
    """
    if len(results) < 2:
        raise LeukoError("name two results or more: a single one has a page of its own")
    pieces = [_piece(each) for each in results]
    if len({each.name for each in pieces}) < len(pieces):
        raise LeukoError(f"two of the results have one name: {listed([str(each) for each in results])}; name each once")
    first = pieces[0]
    for each in pieces[1:]:
        key = difference(first.cells, each.cells, both_filled(first, each))
        if key is None and None not in (first.roles, each.roles) and first.roles != each.roles:
            key = "roles.csv"
        if key is not None:
            raise LeukoError(
                f"{each.snapshot.folder} and {first.snapshot.folder} differ in {key}, so they are not pieces of one "
                "study: combine results of the same cells in the same roles, degraded alike"
            )
    for each in pieces:
        _check_page(each)
    unknown = (
        (ROLES_UNKNOWN, [each.name for each in pieces if each.roles is None]),
        (SETTINGS_UNKNOWN, [each.name for each in pieces if each.filled is None]),
    )
    return pieces, [words.format(listed(names)) for words, names in unknown if names]


def cells_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """`Piece.cells` of the parameters of any study."""
    study = {name: params["study"][name] for name in ("protocol", "seed")}
    return {"study": study} | {name: params[name] for name in SAME}


def how_made(params: Mapping[str, Any], experiment: str) -> Mapping[str, Any]:
    """`Piece.how_made` of the parameters of any study."""
    entry = params["classify"][experiment]
    arms = {name: params.get("upscale", {}).get(name) or {} for name in _arms(entry)}
    return {
        "classify": without(entry, {"reads", "classifier", "protocols", "seeds"}),
        "upscale": {name: without(arm, _not_identity(arm)) for name, arm in arms.items()},
        "train_sr": {
            name: without(training, PLACES | COMPUTED | {"seed", "sizes"})
            for name, training in _trainings(params, experiment).items()
        },
    }


def differences(one: Mapping[str, Any], other: Mapping[str, Any], whole: bool) -> list[str]:
    """The settings, by their dotted keys, in which two differ.

    `whole`: both are filled in, so that a setting of one alone is a difference, too; else only another edition has it.
    """
    return list(_differences(one, other, "", whole))


def difference(one: Mapping[str, Any], other: Mapping[str, Any], whole: bool) -> str | None:
    """The first of `differences`."""
    return next(_differences(one, other, "", whole), None)


def both_filled(one: Piece, other: Piece) -> bool:
    """Whether every setting of two results can be compared."""
    return one.filled is not None and other.filled is not None


def settings_of(classifier: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a classifier, but for how it is computed and where its files lie."""
    return without(classifier, PLACES | COMPUTED)


def without(settings: Mapping[str, Any], left_out: AbstractSet[str]) -> dict[str, Any]:
    """The settings but for some."""
    return {key: value for key, value in settings.items() if key not in left_out}


def _piece(result: Path) -> Piece:
    snapshot = Snapshot(require_folder(result, REMEDY))
    if (result / "verdicts.csv").is_file():
        raise LeukoError(f"{result} was written by `leukosr combine`: name the results that it was put together from")
    if not (result / "params.yaml").is_file() or not (result / "plots/confusion").is_dir():
        raise LeukoError(f"{result} holds no params.yaml and plots/confusion: {REMEDY}")
    if lacking := [name for name in SAME if not isinstance(snapshot.params.get(name), dict)]:
        raise LeukoError(f"{result / 'params.yaml'} lacks {listed(lacking)}, so it is incomplete: {RESTORE}")
    if lacking := [name for name in ("protocol", "seed") if name not in snapshot.params["study"]]:
        raise LeukoError(f"{result / 'params.yaml'} lacks study.{lacking[0]}, so it is incomplete: {RESTORE}")
    if len(snapshot.protocols) > 1 or snapshot.params["study"]["protocol"] == "both":
        raise LeukoError(f"{result} has several protocols, and only results of one can be combined")
    return Piece(snapshot)


def _check_page(piece: Piece) -> None:
    """Raise LeukoError where the page shows what the parameters do not know, or about.json is missing or damaged."""
    file = piece.snapshot.folder / "params.yaml"
    if lacking := [name for name in piece.labels if name not in piece.params["classify"]]:
        raise LeukoError(f"{file} lacks classify.{lacking[0]}, which is on the page: {RESTORE}")
    _ = piece.snapshot.badge


def _arms(entry: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*entry["train"], entry["test"]]))


def _trainings(params: Mapping[str, Any], experiment: str) -> dict[str, Mapping[str, Any]]:
    """The SR trainings behind the images that an experiment trains on and is tested on."""
    arms = [params.get("upscale", {}).get(name) or {} for name in _arms(params["classify"][experiment])]
    names = [name for arm in arms for name in (arm.get("training"), *(arm.get("trainings") or {}).values())]
    trained = params.get("train_sr", {})
    return {name: trained[name] for name in dict.fromkeys(names) if name in trained}


def _not_identity(arm: Mapping[str, Any]) -> AbstractSet[str]:
    """The settings of an arm that do not say what its images are; where it names weights alone, their file does."""
    return COMPUTED | {"batch"} | (set() if arm.get("by") == "file" else PLACES)


def _differences(one: Any, other: Any, at: str, whole: bool) -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in {**one, **other}:
            place = f"{at}.{key}" if at else key
            if key in PLACES and at == "prepare":
                continue
            if key in one and key in other:
                yield from _differences(one[key], other[key], place, whole)
            elif whole:
                yield place
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, both in enumerate(zip(one, other, strict=True)):
            yield from _differences(*both, f"{at}.{number}", whole)
    elif one != other:
        yield at
