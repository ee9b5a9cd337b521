"""Augmentations: what each may change, and draws that stay what they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from leukosr.config import Augmentation
from leukosr.data.augment import BRIGHTNESS, CONTRAST, augment

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), dtype=np.uint8)
ALL: list[dict[str, Any]] = [
    {"kind": "flip", "axis": "both"}, {"kind": "flip", "axis": "horizontal"}, {"kind": "flip", "axis": "vertical"},
    {"kind": "rotation", "amount": 15}, {"kind": "shift", "amount": 0.1}, {"kind": "shear", "amount": 0.2},
    {"kind": "zoom", "amount": 0.2}, {"kind": "brightness", "amount": 0.2}, {"kind": "contrast", "amount": 0.2},
    {"kind": "flips_and_light", "strength": 0.8},
]  # fmt: skip


def changed(*changes: dict[str, Any], images: np.ndarray = IMAGES, seed: int = 1) -> np.ndarray:
    typed = [TypeAdapter(Augmentation).validate_python(change) for change in changes]
    return augment(images, typed, np.random.default_rng(seed))


@pytest.mark.parametrize("change", ALL, ids=str)
def test_every_change_keeps_type_and_shape_and_follows_its_draws(change: dict[str, Any]) -> None:
    found = changed(change)
    assert found.dtype == np.uint8 and found.shape == IMAGES.shape
    assert np.array_equal(found, changed(change))
    assert any(not np.array_equal(changed(change, seed=seed), IMAGES) for seed in range(4))


def test_the_draws_of_flips_and_light_are_those_of_the_first_edition() -> None:
    rng, expected = np.random.default_rng(1), np.empty_like(IMAGES)
    for number, image in enumerate(IMAGES):
        rows, columns = (slice(None, None, -1 if rng.integers(2) else 1) for _ in range(2))
        gain = 1 + 0.8 * CONTRAST * rng.uniform(-1, 1)
        shift = 255 * 0.8 * BRIGHTNESS * rng.uniform(-1, 1)
        table = np.clip(np.rint((np.arange(256) - 127.5) * gain + 127.5 + shift), 0, 255).astype(np.uint8)
        expected[number] = table[image[rows, columns]]
    assert np.array_equal(changed({"kind": "flips_and_light", "strength": 0.8}), expected)


@pytest.mark.parametrize("amount", [0.0])
@pytest.mark.parametrize("kind", ["rotation", "shift", "shear", "zoom", "brightness", "contrast"])
def test_an_amount_of_0_changes_nothing(kind: str, amount: float) -> None:
    assert np.array_equal(changed({"kind": kind, "amount": amount}), IMAGES)


@pytest.mark.parametrize("axis", ["horizontal", "vertical"])
def test_a_flip_is_along_its_axis_alone(axis: str) -> None:
    other = IMAGES[:, :, ::-1] if axis == "horizontal" else IMAGES[:, ::-1]
    for image, plain, mirrored in zip(changed({"kind": "flip", "axis": axis}), IMAGES, other, strict=True):
        assert np.array_equal(image, plain) or np.array_equal(image, mirrored)


def test_a_shift_moves_a_point_by_at_most_its_part_of_the_side() -> None:
    images = np.zeros((40, 41, 41, 3), np.uint8)
    images[:, 20, 20] = 255
    for image in changed({"kind": "shift", "amount": 0.2}, images=images):
        weights = image[..., 0].astype(float)
        row, column = (np.indices((41, 41)) * weights).sum((1, 2)) / weights.sum()
        assert abs(row - 20) <= 8.3 and abs(column - 20) <= 8.3


def test_no_images_stay_none() -> None:
    assert changed(*ALL, images=IMAGES[:0]).shape == (0, 24, 32, 3)
