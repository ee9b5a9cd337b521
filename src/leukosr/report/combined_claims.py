"""The claims of a study that was run in pieces: judged as one family, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import pair
from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.significance import Comparison, compare
from leukosr.evaluate.claims import Claims
from leukosr.report.combine import CombinedArm
from leukosr.report.pieces import SAME, Piece, difference, how_made
from leukosr.report.reproduce import composed_params

NOT_FIRST = (
    "Each result was judged on its own page before, so these verdicts are no first look at the cells. All claims of "
    "the study, as its configuration declares them today, are one family here; one that no result had among its own "
    "claims is marked as exploratory."
)
OTHER_CLASSIFIER = (
    "The classifier of these results, a {found}, is not the one that the study sets and declared its claims of: its "
    "setting {key} differs."
)
OTHERWISE = "Made otherwise than the study sets: {}."
UNTRAINED = "A network gave back what went in, which is no evidence against its method: {}."
UNCLAIMED = "No claim of the study is about: {}."
UNPAIRED = "Left out of a comparison, as the other method has no network to pair it with: {}."
IN_ORDER = "Networks of two methods are paired by seed; those whose seeds differ are paired in order: {}."


def combined_study(study: str, pieces: Sequence[Piece], overrides: Sequence[str], conf: Path) -> Params:
    """The study with the budget of the first piece, which says its seeds; its cells are those of the pieces."""
    budget = pieces[0].params["budget"]["name"]
    params = composed_params(conf, study, budget, overrides)
    if params.claims is None:
        raise LeukoError(f"the study {study} declares no claims: name one that does, e.g. pbc_answer")
    own = params.model_dump(mode="json")
    cells = {name: own[name] for name in SAME} | {"study": {"seed": own["study"]["seed"]}}
    if key := difference(cells, pieces[0].cells):
        raise LeukoError(
            f"{pieces[0].snapshot.folder} and the study {study} differ in {key}: name the study that the "
            "results are pieces of"
        )
    if other := next((each for each in params.claims.family if each.protocol != pieces[0].protocol), None):
        raise LeukoError(
            f"the study {study} claims something under {other.protocol}, and the results are of {pieces[0].protocol}: "
            "set its protocol with -S study.protocol"
        )
    return params


def judged_claims(claims: Claims, pieces: Sequence[Piece], said: Mapping[str, Predictions]) -> list[Comparison]:
    """Every claim by both metrics, all as one family; declared are those that a result had among its own claims."""
    pairs = [pair(*in_order(said[each.first], said[each.second])) for each in claims.family]
    own = [
        any(each.first in piece.labels and piece.declares(each.first, each.second, claims) for piece in pieces)
        for each in claims.family
    ]
    found = compare(pairs, claims.metric, claims.margin)
    return [replace(each, declared=own[at % len(own)] and each.primary) for at, each in enumerate(found)]


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


def combined_notes(params: Params, claims: Claims, arms: Mapping[str, CombinedArm]) -> list[str]:
    """In what the results are not what the study sets, and what to beware of."""
    notes = [NOT_FIRST]
    claimed = list(dict.fromkeys(name for each in claims.family for name in (each.first, each.second)))
    own = params.model_dump(mode="json")
    first = arms[claimed[0]].pieces[0]
    if key := difference(first.classifier(claimed[0]), own["classify"][claimed[0]]["classifier"]):
        notes.append(OTHER_CLASSIFIER.format(found=first.snapshot.classifier(claimed[0]), key=key))
    otherwise = [
        f"{arms[name].label} ({key})"
        for name in claimed
        if (key := difference(arms[name].pieces[0].how_made(name), how_made(own, name)))
    ]
    if otherwise:
        notes.append(OTHERWISE.format("; ".join(otherwise)))
    if untrained := [arm.label for arm in arms.values() if arm.untrained]:
        notes.append(UNTRAINED.format("; ".join(untrained)))
    said = {name: arm.predictions for name, arm in arms.items()}
    renumbered = [
        f"{arms[one].label} {arms[one].networks} and {arms[other].label} {arms[other].networks}"
        for one, other in ((each.first, each.second) for each in claims.family)
        if in_order(said[one], said[other])[1] is not said[other]
    ]
    if renumbered:
        notes.append(IN_ORDER.format("; ".join(renumbered)))
    if unpaired := [each for claim in claims.family for each in _unpaired(arms[claim.first], arms[claim.second])]:
        notes.append(UNPAIRED.format("; ".join(unpaired)))
    if unclaimed := [arm.label for name, arm in arms.items() if name not in claimed]:
        notes.append(UNCLAIMED.format("; ".join(unclaimed)))
    return notes


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


def combined_caveats(pieces: Sequence[Piece]) -> list[str]:
    """What a reader must know of the results, each once, with the results that say it."""
    said: dict[str, list[str]] = {}
    for each in pieces:
        if caveat := each.params["study"].get("caveat"):
            said.setdefault(" ".join(str(caveat).split()), []).append(each.name)
    return [f"{', '.join(names)}: {caveat}" for caveat, names in said.items()]
