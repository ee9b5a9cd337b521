"""The affine map of colours."""

from __future__ import annotations

import numpy as np
import pytest

from leukosr.images.colour_map import fit_colour_map, with_colour_map


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 180, (8, 12, 3), dtype=np.uint8)


def test_a_map_that_made_the_pairs_is_found() -> None:
    truth = np.array([[0.5, 0.1, 0.0], [0.2, 0.6, 0.0], [0.0, 0.1, 0.9], [10.0, 0.0, 20.0]])
    pairs = [(image(seed), with_colour_map(image(seed), truth)) for seed in range(4)]
    found = fit_colour_map(pairs)
    np.testing.assert_allclose(found[:3], truth[:3], atol=0.01)
    np.testing.assert_allclose(found[3], truth[3], atol=1)  # grey levels are rounded
    for given, wanted in pairs:
        assert abs(with_colour_map(given, found).astype(int) - wanted).max() <= 1


def test_no_other_map_is_nearer() -> None:
    given, wanted = image(1), image(2)
    found = fit_colour_map([(given, wanted)])
    flat = np.column_stack([given.reshape(-1, 3), np.ones(given.size // 3)])
    best = np.linalg.lstsq(flat, wanted.reshape(-1, 3).astype(float))[0]
    np.testing.assert_allclose(found, best, atol=1e-6)


def test_images_of_one_colour_are_fitted_and_nothing_leaves_the_grey_levels() -> None:
    flat = np.full((4, 4, 3), 100, np.uint8)
    assert (with_colour_map(flat, fit_colour_map([(flat, flat)])) == flat).all()
    assert with_colour_map(flat, np.array([[9.0, 0, 0], [0, -9, 0], [0, 0, 1], [0, 0, 0]]))[0, 0].tolist() == [
        255,
        0,
        100,
    ]


def test_no_pairs_are_an_error() -> None:
    with pytest.raises(ValueError, match="no images"):
        fit_colour_map([])
