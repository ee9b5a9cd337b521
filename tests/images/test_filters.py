"""Every filter keeps size and type; each does what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import median_filter

from leukosr.images.filters import FILTERS, clahe, median, unsharp

NOISE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_gives_a_new_image_of_the_same_size(name: str) -> None:
    before = NOISE.copy()
    filtered = FILTERS[name](before)
    assert filtered.shape == NOISE.shape
    assert filtered.dtype == np.uint8
    assert np.array_equal(before, NOISE)
    assert not np.array_equal(filtered, NOISE)


@pytest.mark.parametrize("name", ["unsharp", "median"])
def test_a_flat_image_has_nothing_to_sharpen_or_smooth(name: str) -> None:
    flat = np.full((16, 16, 3), (10, 120, 240), np.uint8)
    assert np.array_equal(FILTERS[name](flat), flat)


def test_unsharp_masking_steepens_an_edge_by_its_amount() -> None:
    edge = np.full((9, 30, 3), 60, np.uint8)
    edge[:, 15:] = 180
    weak, strong = (unsharp(edge, sigma=2.0, amount=amount)[4, :, 0].astype(int) for amount in (0.5, 1.0))
    assert strong.min() < weak.min() < 60
    assert strong.max() > weak.max() > 180
    np.testing.assert_allclose(strong - edge[4, :, 0], 2 * (weak - edge[4, :, 0]), atol=1.5)


def test_clahe_stretches_contrast_and_keeps_grey_grey() -> None:
    ramp = np.repeat(np.tile(np.linspace(100, 140, 64).astype(np.uint8), (64, 1))[..., None], 3, axis=2)
    equalised = clahe(ramp, clip_limit=40.0, tiles=1)
    assert np.ptp(equalised) > 3 * np.ptp(ramp)
    assert np.ptp(equalised.astype(int), axis=2).max() <= 1


def test_the_median_is_that_of_every_channel() -> None:
    expected = np.stack([median_filter(NOISE[..., channel], 5, mode="nearest") for channel in range(3)], axis=2)
    assert np.array_equal(median(NOISE, window=5), expected)
