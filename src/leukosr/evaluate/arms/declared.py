"""Claims that were declared before the first run, as they travel with predictions, and verdicts within their family."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from pydantic import ValidationError

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Pair
from leukosr.evaluate.arms.significance import Comparison, compare
from leukosr.evaluate.arms.two_way import METRICS, Metric
from leukosr.evaluate.claims import Claims
from leukosr.files import write_json

SIDECAR = "claims.json"  # beside predictions.csv; in snapshots, whose folders hold many tables, NAME.claims.json


class DamagedClaims(LeukoError):
    """What lies beside predictions cannot be read, or was changed; `problem` says so without a remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}{remedy}")
        self.problem = problem


@dataclass(frozen=True)
class Origin:
    """Which experiment, under which protocol, predictions are of, and what their study had declared by then."""

    experiment: str
    protocol: str
    claims: Claims


def write_sidecar(folder: Path, origin: Origin) -> None:
    """Write what was declared, with its digest, beside the predictions in `folder`."""
    record = {
        "experiment": origin.experiment,
        "protocol": origin.protocol,
        "digest": origin.claims.digest,
        "claims": origin.claims.model_dump(mode="json"),
    }
    write_json(folder / SIDECAR, record)


def read_sidecar(predictions: Path) -> Origin | None:
    """What lies beside a predictions.csv; None where nothing does. Raises DamagedClaims for one that was changed."""
    beside = (predictions.parent / f"{predictions.stem}.{SIDECAR}", predictions.parent / SIDECAR)
    path = next((each for each in beside if each.is_file()), None)
    if path is None:
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        origin = Origin(record["experiment"], record["protocol"], Claims.model_validate(record["claims"]))
        unchanged = origin.claims.digest == record["digest"]
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        why = "its claims are not valid" if isinstance(error, ValidationError) else error
        raise DamagedClaims(
            f"{path} cannot be read ({why})", ": train again, or remove it to compare without claims"
        ) from None
    if not unchanged:
        raise DamagedClaims(
            f"{path} was changed after the run: its claims do not have the digest that it gives",
            "; restore it, or remove it to compare without claims",
        )
    return origin


def place_in_family(first: Origin | None, second: Origin | None) -> int | None:
    """The place of two predictions among the claims; None where their comparison was not declared.

    Arms of studies with different claims are in no family together. Raises LeukoError where they were trained under
    different protocols.
    """
    if first is None or second is None:
        return None
    if first.protocol != second.protocol:
        raise LeukoError(
            f"{first.experiment} ran under {first.protocol} and {second.experiment} under {second.protocol}, so they "
            "differ in their training images, too: compare arms of one protocol"
        )
    if first.claims != second.claims:
        return None
    return first.claims.index(first.experiment, second.experiment, first.protocol)


def claims_asked(asked: Sequence[tuple[Origin | None, Origin | None]]) -> Claims | None:
    """The claims that comparisons are judged by: those that some of them are among, else the first that any arm has.

    Raises LeukoError where the comparisons are among the claims of several studies, each of which is a family of its
    own.
    """
    declared = [one.claims for one, other in asked if one is not None and place_in_family(one, other) is not None]
    if any(each != declared[0] for each in declared):
        raise LeukoError(
            "these comparisons are among the claims of several studies, and each study is a family of its own: compare "
            "the arms of one study at a time"
        )
    others = (origin.claims for pair in asked for origin in pair if origin is not None)
    return declared[0] if declared else next(others, None)


def compare_declared(
    pairs: Sequence[Pair], places: Sequence[int | None], claims: Claims, metric: Metric, margin: float
) -> list[Comparison]:
    """Compare pairs, the declared ones as one family of Holm's with all claims that are not among them.

    A claim whose predictions are not here counts as one that fails, which makes no verdict easier. What was not
    declared (`places` None), was run with other seeds, or is asked by another metric or margin, is marked as such and a
    family of its own. The other metric of a declared pair keeps its family, but is marked, too.
    """
    as_asked = (metric, margin) == (claims.metric, claims.margin)
    declared = [
        as_asked and place is not None and _has_seeds(pair, claims) for pair, place in zip(pairs, places, strict=True)
    ]
    found: dict[tuple[Metric, int], Comparison] = {}
    for side in (True, False):
        chosen = [i for i, own in enumerate(declared) if own is side]
        unseen = len(claims.family) - len(chosen) if side else 0
        compared = compare([pairs[i] for i in chosen], metric, margin, unseen)
        for key, each in zip(product(METRICS, chosen), compared, strict=True):
            found[key] = replace(each, declared=side and each.primary)
    return [found[key] for key in product(METRICS, range(len(pairs)))]


def _has_seeds(pair: Pair, claims: Claims) -> bool:
    """Whether the runs are all those declared, none left out; arms that no SR network made name no SR seed."""
    plain = {(seed, None) for seed in claims.seeds}
    of_networks = {(seed, network) for seed in claims.seeds for network in claims.sr_seeds or ()}
    return all(
        {(run.seed, run.sr_seed) for run in runs} in (plain, of_networks) for runs in (pair.runs, pair.other_runs)
    )
