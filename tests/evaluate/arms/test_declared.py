"""Declared claims: their digest, their sidecar and the one family that they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.declared import (
    Origin,
    _has_seeds,
    claims_asked,
    compare_declared,
    place_in_family,
    read_sidecar,
    write_sidecar,
)
from leukosr.evaluate.arms.significance import compare, holm
from leukosr.evaluate.arms.simulation import Design, draw, one
from leukosr.evaluate.claims import Claims

CLAIMS = Claims.model_validate(
    {
        "metric": "accuracy",
        "margin": 0.02,
        "seeds": list(range(8)),
        "family": [
            {"first": "srgan", "second": "bicubic", "protocol": protocol} for protocol in ("paper", "source_disjoint")
        ],
    }
)
PAIRS = draw(Design(), "accuracy", 0.03, 3, np.random.default_rng(0))
THREE = [one(PAIRS, index) for index in range(3)]


def test_a_declared_comparison_is_found_whichever_arm_is_first() -> None:
    assert CLAIMS.index("srgan", "bicubic", "paper") == 0 and CLAIMS.index("bicubic", "srgan", "source_disjoint") == 1
    assert CLAIMS.index("srgan", "raw", "paper") is None and CLAIMS.index("srgan", "bicubic", "official") is None


def test_any_change_of_the_claims_changes_the_digest() -> None:
    changed = CLAIMS.model_copy(update={"margin": 0.03})
    assert CLAIMS.digest != changed.digest and CLAIMS.digest == CLAIMS.model_copy().digest


def test_a_comparison_is_declared_once() -> None:
    twice = CLAIMS.model_dump()
    twice["family"] += [{"first": "bicubic", "second": "srgan", "protocol": "paper"}]
    with pytest.raises(ValidationError, match="declared once"):
        Claims.model_validate(twice)


def test_the_sidecar_says_what_was_declared_and_notices_a_change(tmp_path: Path) -> None:
    origin, predictions = Origin("srgan", "paper", CLAIMS), tmp_path / "predictions.csv"
    assert read_sidecar(predictions) is None
    write_sidecar(tmp_path, origin)
    assert read_sidecar(predictions) == origin
    record = json.loads((tmp_path / "claims.json").read_text())
    record["claims"]["margin"] = 0.5
    (tmp_path / "claims.json").write_text(json.dumps(record))
    with pytest.raises(LeukoError, match="was changed after the run"):
        read_sidecar(predictions)


def test_the_tables_of_one_folder_have_a_sidecar_each(tmp_path: Path) -> None:
    for name in ("srgan", "bicubic"):
        write_sidecar(tmp_path, Origin(name, "paper", CLAIMS))
        (tmp_path / "claims.json").rename(tmp_path / f"{name}.claims.json")
    found = [read_sidecar(tmp_path / f"{name}.csv") for name in ("srgan", "bicubic", "raw")]
    assert [each and each.experiment for each in found] == ["srgan", "bicubic", None]


def test_arms_of_other_claims_are_no_family_and_those_of_other_protocols_are_refused() -> None:
    srgan, bicubic = (Origin(name, "paper", CLAIMS) for name in ("srgan", "bicubic"))
    assert place_in_family(srgan, bicubic) == 0
    assert place_in_family(srgan, None) is None
    with pytest.raises(LeukoError, match="srgan ran under paper and bicubic under source_disjoint"):
        place_in_family(srgan, replace(bicubic, protocol="source_disjoint"))
    assert place_in_family(srgan, replace(bicubic, claims=CLAIMS.model_copy(update={"margin": 0.1}))) is None


def test_comparisons_are_judged_by_the_claims_that_they_are_among() -> None:
    other = CLAIMS.model_copy(update={"margin": 0.1})
    (srgan, bicubic), (theirs, their_bicubic) = (
        [Origin(name, "paper", claims) for name in ("srgan", "bicubic")] for claims in (CLAIMS, other)
    )
    assert claims_asked([(None, None)]) is None
    assert claims_asked([(srgan, None), (None, theirs)]) == CLAIMS
    assert claims_asked([(srgan, their_bicubic), (theirs, their_bicubic)]) == other, "the first pair is of two studies"
    with pytest.raises(LeukoError, match="the claims of several studies"):
        claims_asked([(srgan, bicubic), (theirs, their_bicubic)])


def test_claims_of_all_protocols_are_one_family_and_others_another() -> None:
    found = [each for each in compare_declared(THREE, [0, 1, None], CLAIMS, "accuracy", 0.02) if each.primary]
    assert [each.declared for each in found] == [True, True, False]
    beside = [each for each in compare_declared(THREE, [0, 1, None], CLAIMS, "accuracy", 0.02) if not each.primary]
    assert not any(each.declared for each in beside), "the other metric"
    alone = [next(each for each in compare([one_pair], "accuracy") if not each.primary) for one_pair in THREE]
    assert [each.p_holm for each in beside[:2]] == pytest.approx(holm([each.p_value for each in alone[:2]]))
    alone = [next(each for each in compare([one_pair], "accuracy") if each.primary) for one_pair in THREE]
    assert alone[2].p_holm == found[2].p_holm
    different = [each.verdict not in ("equivalent", "no gain") for each in (*found, *alone)]
    assert all(different), "the p that decide are of one kind"
    assert [each.p_holm for each in found[:2]] == pytest.approx(holm([each.p_value for each in alone[:2]]))


def test_a_claim_without_predictions_counts_as_a_member() -> None:
    whole = compare_declared(THREE[:1], [0], CLAIMS, "accuracy", 0.02)[0]
    alone = compare(THREE[:1], "accuracy")[0]
    assert whole.p_holm == pytest.approx(min(1, 2 * alone.p_holm))  # type: ignore[operator]


@pytest.mark.parametrize(("metric", "margin"), [("macro_f1", 0.02), ("accuracy", 0.05)])
def test_another_metric_or_margin_than_declared_is_exploratory(metric: str, margin: float) -> None:
    found = compare_declared(THREE[:2], [0, 1], CLAIMS, metric, margin)  # type: ignore[arg-type]
    assert {each.declared for each in found} == {False}


def test_runs_of_other_seeds_or_sr_seeds_than_declared_are_exploratory() -> None:
    nested = one(draw(Design(sr_seeds=2, recurring=True), "accuracy", 0.03, 1, np.random.default_rng(0)), 0)
    for pair, seeds, sr_seeds, declared in (
        (THREE[0], range(8), None, True),
        (THREE[0], range(9), None, False),
        (THREE[0], range(8), [0, 1], True),  # no SR network made these images
        (nested, range(8), [0, 1], True),
        (nested, range(8), [0, 1, 2], False),
        (nested, range(8), None, False),
    ):
        claims = CLAIMS.model_copy(update={"seeds": list(seeds), "sr_seeds": sr_seeds})
        found = compare_declared([pair], [0], claims, "accuracy", 0.02)
        assert {each.declared for each in found if each.primary} == {declared}


def test_a_choice_among_the_declared_runs_is_exploratory() -> None:
    nested = one(draw(Design(sr_seeds=2, recurring=True), "accuracy", 0.03, 1, np.random.default_rng(0)), 0)
    claims = CLAIMS.model_copy(update={"sr_seeds": [0, 1]})
    # every seed and every SR seed is still there, but each network with half of the seeds
    kept = [place for place, run in enumerate(nested.runs) if run.seed % 2 == run.sr_seed]
    chosen = replace(nested, runs=tuple(nested.runs[place] for place in kept))
    assert {run.seed for run in chosen.runs} == set(claims.seeds) and {run.sr_seed for run in chosen.runs} == {0, 1}
    assert not _has_seeds(chosen, claims) and _has_seeds(nested, claims)
