"""Which experiments the assay sensitivity and the recovered share are about."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

from leukosr.config import Params
from leukosr.report.evidence import assay_pairs, beside
from leukosr.report.results import StudyResults


def test_each_classifier_has_an_assay_of_its_own_and_arms_are_judged_by_theirs(
    compose_params: Callable[..., Params],
) -> None:
    params = compose_params("study=case1_weights", "budget=smoke")
    results = cast(StudyResults, SimpleNamespace(experiments=params.classify))
    pairs = assay_pairs(params, results)
    assert pairs == [("ground_truth", "bicubic"), ("ground_truth_probe", "bicubic_probe")]
    tuned, probed = (beside(params, results, pair) for pair in pairs)
    assert "real_esrgan" in tuned and not any(name.endswith("_probe") for name in tuned)
    assert "real_esrgan_probe" in probed and all(name.endswith("_probe") for name in probed)
