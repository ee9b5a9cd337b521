"""The folds of SR as each of its networks sees them."""

from __future__ import annotations

from collections.abc import Callable

from leukosr.config import Params
from leukosr.data.manifest import Row
from leukosr.data.sr_folds import seen_from


def test_the_images_that_validate_are_drawn_anew_for_each_fold(compose_params: Callable[..., Params]) -> None:
    study = compose_params("study=histopathology_he").study
    rows = [
        Row(f"{patient}/{tile}", f"{patient}/{tile}.png", "", f"p{patient}", 8, 8,
            {study.sr_protocol: f"fold_{patient % 3 + 1}"})
        for patient in range(12)
        for tile in range(6)
    ]  # fmt: skip
    validating = [
        {row.source: row.id for row in seen_from(fold, rows, study) if row.role(study.sr_protocol) == "sr_val"}
        for fold in ("fold_1", "fold_2")
    ]
    common = validating[0].keys() & validating[1].keys()
    assert len(common) == 4  # the patients of the third fold
    assert any(validating[0][patient] != validating[1][patient] for patient in common)
