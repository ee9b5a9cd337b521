"""Experiments that are one experiment under two names are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from leukosr.config import Params
from leukosr.layout import Layout
from leukosr.report.results import StudyResults, load_results
from leukosr.report.twins import twins_sentence


@pytest.fixture
def results(params: Params, outputs: Path) -> StudyResults:
    found = load_results(Layout("demo", outputs), params, "paper")
    return replace(found, experiments={name: found.experiments[name] for name in ("raw", "bicubic")})


def test_experiments_that_differ_are_not_named(results: StudyResults) -> None:
    assert twins_sentence([results]) == ""
    assert twins_sentence([]) == ""


def test_equal_predictions_are_named_whatever_their_order(results: StudyResults) -> None:
    raw = results.experiments["raw"]
    other = replace(results.experiments["bicubic"], predictions=raw.predictions.iloc[::-1])
    twins = replace(results, experiments={**results.experiments, "bicubic": other})
    assert twins_sentence([twins]).startswith("raw LR and bicubic gave the same predictions in every run")
    assert twins_sentence([twins, results]) == "", "they differ under another protocol"


def test_one_other_probability_makes_two_experiments(results: StudyResults) -> None:
    raw = results.experiments["raw"]
    column = next(str(name) for name in raw.predictions.columns if str(name).startswith("p_"))
    probability = raw.predictions[column]
    changed = raw.predictions.assign(**{column: probability.where(probability.index > 0, probability + 1e-6)})
    other = replace(results.experiments["bicubic"], predictions=changed)
    assert twins_sentence([replace(results, experiments={**results.experiments, "bicubic": other})]) == ""
