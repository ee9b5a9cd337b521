"""The claims of a study that was run in pieces: judged as one family, and what to beware of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Pair, pair
from leukosr.evaluate.arms.predictions import Predictions, count_runs
from leukosr.evaluate.arms.significance import Comparison, compare
from leukosr.evaluate.claims import Claims
from leukosr.quoting import listed
from leukosr.report.combine import CombinedArm
from leukosr.report.pieces import Piece, cells_of, difference, differences, how_made, settings_of
from leukosr.report.reproduce import composed_params

NOT_FIRST = (
    "Each result was judged on its own page before, so this is not a first look at the cells. All claims of "
    "the study, as its configuration declares them today, are one family here; one that no result had among its own "
    "claims is marked as exploratory."
)
OTHER_CLASSIFIER = (
    "The classifier of these results, a {found}, is not the one that the study sets and declared its claims for: "
    "they differ in {keys}."
)
OTHERWISE = "Settings that differ from those of the study, the first of each: {}."
UNTRAINED = "A network gave back what went in, which is no evidence against its method: {}."
UNCLAIMED = "Not covered by any claim of the study: {}."
UNPAIRED = "Not compared, for want of a network of the other method: {}."
IN_ORDER = (
    "Networks of two methods are paired by seed, the others in the order of their seeds: {}. On the tables of this "
    "page, leukosr compare pairs equal seeds alone."
)
PARTLY = "Compared on the runs whose classifier seed both have: {}."


def combined_study(study: str, pieces: Sequence[Piece], overrides: Sequence[str], conf: Path) -> Params:
    """The study with the budget of the first piece, which says its seeds; its cells are those of the pieces."""
    if named := next((each for each in overrides if each.lstrip("+~").partition("=")[0].strip() == "study"), None):
        raise LeukoError(f"-S {named} names another study: name the study with --study alone")
    params = composed_params(conf, study, pieces[0].snapshot.budget, overrides)
    if params.claims is None:
        raise LeukoError(f"the study {study} declares no claims: name one that does, e.g. pbc_answer")
    first, own = pieces[0], cells_of(params.model_dump(mode="json"))
    own["study"]["protocol"] = first.protocol  # what claims are under is checked below
    if key := difference(own, first.cells, first.filled is not None):
        section = key.partition(".")[0]
        cause = [each for each in overrides if each.lstrip("+~").partition("=")[0].partition(".")[0] == section]
        remedy = f", or leave out -S {' -S '.join(cause)}" if cause else ""
        raise LeukoError(
            f"{first.snapshot.folder} and the study {study} differ in {key}: name the study that the results are "
            f"pieces of{remedy}"
        )
    if other := next((each for each in params.claims.family if each.protocol != pieces[0].protocol), None):
        raise LeukoError(
            f"the study {study} claims something under {other.protocol}, and the results are of {pieces[0].protocol}: "
            "set its protocol with -S study.protocol"
        )
    return params


def claimed_pairs(claims: Claims, said: Mapping[str, Predictions]) -> list[Pair]:
    """The two experiments of every claim side by side."""
    return [pair(*in_order(said[each.first], said[each.second])) for each in claims.family]


def judged_claims(claims: Claims, pieces: Sequence[Piece], pairs: Sequence[Pair]) -> list[Comparison]:
    """Every claim by both metrics, all as one family; declared are those that a result had among its own claims.

    `pairs`: those of `claimed_pairs`. A claim that a result declared of more runs is not the declared one.
    """
    own = [
        any(each.first in piece.labels and piece.declares(each.first, each.second, claims, found) for piece in pieces)
        for each, found in zip(claims.family, pairs, strict=True)
    ]
    compared = compare(pairs, claims.metric, claims.margin)
    return [replace(each, declared=own[at % len(own)] and each.primary) for at, each in enumerate(compared)]


def in_order(one: Predictions, other: Predictions) -> tuple[Predictions, Predictions]:
    """Two arms whose SR networks can be paired.

    Networks of a seed that both have are pairs, as they share the order of training. Of the others, as far as both
    have any, those of the second arm take the seeds of those of the first, in order.
    """
    seeds = [set(each.table.get("sr_seed", ())) for each in (one, other)]
    taken = dict(zip(sorted(seeds[1] - seeds[0]), sorted(seeds[0] - seeds[1]), strict=False))
    if not taken:
        return one, other
    renamed = other.table["sr_seed"].map(lambda seed: taken.get(seed, seed)).astype(object)
    return one, replace(other, table=other.table.assign(sr_seed=renamed))


def combined_notes(params: Params, claims: Claims, arms: Mapping[str, CombinedArm], pairs: Sequence[Pair]) -> list[str]:
    """In what the results are not what the study sets, and what to beware of. `pairs`: those of `claimed_pairs`."""
    claimed = list(dict.fromkeys(name for each in claims.family for name in (each.first, each.second)))
    notes = [NOT_FIRST, *_made_otherwise(params, [arms[name] for name in claimed])]
    if untrained := [arm.label for arm in arms.values() if arm.untrained]:
        notes.append(UNTRAINED.format("; ".join(untrained)))
    both = [(arms[each.first], arms[each.second]) for each in claims.family]
    paired = [of_claim for of_claim, found in zip(both, pairs, strict=True) if found.paired]  # else all runs count
    renumbered = [
        f"{one.label} {one.networks} and {other.label} {other.networks}"
        for one, other in paired
        if in_order(one.predictions, other.predictions)[1] is not other.predictions
    ]
    unpaired = [each for one, other in paired for each in _unpaired(one, other)]
    partly = [each for of_claim, found in zip(both, pairs, strict=True) for each in _partly(*of_claim, found)]
    unclaimed = [arm.label for name, arm in arms.items() if name not in claimed]
    told = ((IN_ORDER, renumbered), (UNPAIRED, unpaired), (PARTLY, partly), (UNCLAIMED, unclaimed))
    return notes + [words.format("; ".join(found)) for words, found in told if found]


def _made_otherwise(params: Params, arms: Sequence[CombinedArm]) -> Iterator[str]:
    """Where the classifiers, or how the images were made, are not those of the study."""
    own = params.model_dump(mode="json")
    first, piece = arms[0].name, arms[0].pieces[0]
    set_by_study = settings_of(own["classify"][first]["classifier"])
    if keys := differences(piece.classifier(first), set_by_study, piece.filled is not None):
        yield OTHER_CLASSIFIER.format(found=piece.snapshot.classifier(first), keys=listed(keys))
    otherwise = [
        f"{arm.label} ({key})"
        for arm, made in zip(arms, (arm.pieces[0] for arm in arms), strict=True)
        if (key := difference(made.how_made(arm.name), how_made(own, arm.name), made.filled is not None))
    ]
    if otherwise:
        yield OTHERWISE.format("; ".join(otherwise))


def _unpaired(one: CombinedArm, other: CombinedArm) -> list[str]:
    """The networks of either arm that its comparison with the other leaves out, in words."""
    if not (one.networks and other.networks):
        return []
    alone = [sorted({*arm.networks} - {*partner.networks}) for arm, partner in ((one, other), (other, one))]
    paired = min(map(len, alone))  # in their order, as `in_order` takes them
    return [
        f"{arm.label} {seeds[paired:]} in {one.label} – {other.label}"
        for arm, seeds in zip((one, other), alone, strict=True)
        if seeds[paired:]
    ]


def _partly(one: CombinedArm, other: CombinedArm, found: Pair) -> list[str]:
    """How many runs of networks that are paired have a run of the same classifier seed, where not all do."""
    if not found.paired:
        return []
    used, there = [], []
    tables = [each.table for each in in_order(one.predictions, other.predictions)]
    named = [{*table["sr_seed"]} for table in tables if "sr_seed" in table]
    networks = set.intersection(*named) if named else set()
    for runs, table in zip((found.runs, found.other_runs), tables, strict=True):
        if "sr_seed" in table:
            there.append(count_runs(table[table["sr_seed"].isin(networks)]))
            used.append(len({*runs}))
        else:
            there.append(count_runs(table))
            used.append(len({run.seed for run in runs}))
    if used == there:
        return []
    return [f"{one.label} – {other.label} ({used[0]} of {there[0]} runs and {used[1]} of {there[1]})"]


def combined_caveats(pieces: Sequence[Piece]) -> list[str]:
    """What a reader must know of the results, each once, with the results that say it."""
    said: dict[str, list[str]] = {}
    for each in pieces:
        if caveat := each.params["study"].get("caveat"):
            said.setdefault(" ".join(str(caveat).split()), []).append(each.name)
    return [f"{', '.join(names)}: {caveat}" for caveat, names in said.items()]
