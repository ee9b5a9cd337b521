from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from leukosr.evaluate import image_quality
from leukosr.evaluate.image_quality import ImageQuality, compare_images, consistency, luminance


def pair(seed: int, shape: tuple[int, int, int] = (24, 31, 3)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 256, shape, dtype=np.uint8)
    noise = random.normal(0, 20, shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8), truth


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    height=st.integers(13, 40),
    width=st.integers(15, 40),
    window=st.sampled_from([3, 7, 11, 13]),
)
def test_figures_equal_those_of_scikit_image(seed: int, height: int, width: int, window: int) -> None:
    image, truth = pair(seed, (height, width, 3))
    found = compare_images(image, truth, window)
    assert found.mse == mean_squared_error(truth, image)
    assert found.psnr == peak_signal_noise_ratio(truth, image, data_range=255)
    reference = structural_similarity(image, truth, win_size=window, data_range=255, channel_axis=-1)
    assert found.ssim == pytest.approx(reference, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), window=st.sampled_from([3, 7]))
def test_luminance_figures_equal_those_of_scikit_image_on_one_channel(seed: int, window: int) -> None:
    image, truth = pair(seed)
    found = compare_images(image, truth, window, "luminance")
    left, right = luminance(image), luminance(truth)
    assert found.mse == pytest.approx(mean_squared_error(right, left), rel=1e-12)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(right, left, data_range=255), rel=1e-12)
    assert found.ssim == pytest.approx(structural_similarity(left, right, win_size=window, data_range=255), abs=1e-12)


@pytest.mark.parametrize("window", [11, 13])
def test_the_largest_differences_do_not_overflow(window: int) -> None:
    image, truth = np.full((20, 20, 3), 255, np.uint8), np.zeros((20, 20, 3), np.uint8)
    image[::2, ::3] = 0
    reference = structural_similarity(image, truth, win_size=window, data_range=255, channel_axis=-1)
    assert compare_images(image, truth, window).ssim == pytest.approx(reference, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(13, 40), st.integers(13, 40)),
    window=st.sampled_from([3, 7, 11, 13]),
    channels=st.sampled_from(["rgb", "luminance"]),
)
def test_the_strips_change_nothing(
    seed: int, size: tuple[int, int], window: int, channels: Literal["rgb", "luminance"]
) -> None:
    image, truth = pair(seed, (*size, 3))
    whole = compare_images(image, truth, window, channels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_quality, "STRIP", 1)  # strips of as many rows as the window has
        assert compare_images(image, truth, window, channels).ssim == pytest.approx(whole.ssim, abs=1e-12)


@pytest.mark.parametrize("window", [2, 4])
def test_an_even_window_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match="no middle"):
        compare_images(*pair(0), window)


def test_a_window_that_does_not_fit_is_refused() -> None:
    image, truth = pair(0, (8, 40, 3))
    with pytest.raises(ValueError, match="a window of 11 pixels does not fit into an image of 8x40"):
        compare_images(image, truth, 11)


def test_the_window_matters() -> None:
    image, truth = pair(0)
    assert compare_images(image, truth, 3).ssim != compare_images(image, truth, 7).ssim


@pytest.mark.parametrize("window", [3, 7])
@pytest.mark.parametrize("channels", ["rgb", "luminance"])
@pytest.mark.parametrize("fill", [None, 0, 255])
def test_an_image_equals_itself(window: int, channels: str, fill: int | None) -> None:
    image = pair(1)[1] if fill is None else np.full((24, 31, 3), fill, np.uint8)
    assert compare_images(image, image.copy(), window, channels) == ImageQuality(None, 1.0, 0.0)  # type: ignore[arg-type]


def test_mse_is_the_mean_over_pixels_and_channels() -> None:
    truth = np.zeros((10, 10, 3), np.uint8)
    image = truth.copy()
    image[0, 0, 0] = 30  # 900 in one of 300 values
    assert compare_images(image, truth, 3).mse == 3.0


def test_an_image_that_was_not_rounded_is_compared_as_it_is() -> None:
    truth = np.full((8, 8, 3), 255, np.uint8)
    assert compare_images(np.full((8, 8, 3), 255.5, np.float32), truth, 3).mse == 0.25


def test_differences_do_not_wrap_around() -> None:
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    for first, second in ((black, white), (white, black)):
        found = compare_images(first, second, 3)
        assert (found.mse, found.psnr) == (255.0**2, 0.0)


def test_the_order_of_the_images_does_not_matter() -> None:
    image, truth = pair(2)
    assert compare_images(image, truth, 3) == compare_images(truth, image, 3)


def test_luminance_is_that_of_bt_601() -> None:
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    expected = [16.0, 235.0, 16 + 65.481, 16 + 128.553, 16 + 24.966]
    assert luminance(colours)[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(24, 32, 3), (31, 24, 3), (24, 31), (24, 31, 1)])
def test_images_of_two_sizes_are_not_compared(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"different sizes cannot be compared: \(24, 31, 3\)"):
        compare_images(pair(0)[0], np.zeros(shape, np.uint8), 3)


def test_consistency_is_the_error_at_low_resolution() -> None:
    low = np.random.default_rng(0).integers(0, 200, (6, 8, 3), dtype=np.uint8)
    enlarged = low.repeat(4, axis=0).repeat(4, axis=1)
    assert consistency(enlarged, low) == 0.0
    assert consistency(enlarged + 3, low) == pytest.approx(3.0)
    assert consistency(low, low) == 0.0
