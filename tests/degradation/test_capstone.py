"""The case studies' degradation against a by-hand reference, and what its noise switch does."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from leukosr.degradation import Capstone, CapstoneSettings, image_rng
from leukosr.degradation.noise import add_signed_noise, add_wrapped_noise
from leukosr.errors import LeukoError


def hr_image() -> np.ndarray:
    smooth = np.random.default_rng(5).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(smooth, (128, 96), interpolation=cv2.INTER_CUBIC)


def by_hand(hr: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The steps on OpenCV's own channel order, each written out; `noise` is in RGB order."""
    bgr = cv2.GaussianBlur(hr[..., ::-1].copy(), (15, 15), 0)
    bgr = cv2.resize(bgr, (bgr.shape[1] // 4, bgr.shape[0] // 4), interpolation=cv2.INTER_CUBIC)
    bgr = np.clip(bgr.astype(int) + noise[..., ::-1], 0, 255).astype(np.uint8)
    decoded = cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.GaussianBlur(decoded, (5, 5), 0)[..., ::-1]


def test_wrapped_is_blur_shrink_wrapped_noise_jpeg_blur():
    hr = hr_image()
    draws = image_rng(1, "a").normal(0, 25, (24, 32, 3))
    toward_zero = np.where(draws < 0, -np.floor(-draws), np.floor(draws)).astype(int)
    expected = by_hand(hr, np.where(toward_zero < 0, toward_zero + 256, toward_zero))
    assert np.array_equal(Capstone(CapstoneSettings())(hr, image_rng(1, "a")), expected)


def test_gaussian_differs_from_wrapped_in_the_noise_alone():
    hr = hr_image()
    draws = image_rng(1, "a").normal(0, 25, (24, 32, 3))
    expected = by_hand(hr, np.rint(draws).astype(int))
    assert np.array_equal(Capstone(CapstoneSettings(noise="gaussian"))(hr, image_rng(1, "a")), expected)


def test_wrapped_noise_sends_nearly_half_of_mid_gray_to_white_and_gaussian_keeps_the_mean():
    gray = np.full((256, 256, 3), 128, np.uint8)
    wrapped = add_wrapped_noise(gray, 25.0, np.random.default_rng(0))
    signed = add_signed_noise(gray, 25.0, np.random.default_rng(0))
    # Truncation takes (-1, 1) to 0, so a little less than half wraps: P(draw <= -1) = 0.484.
    assert (wrapped >= 250).mean() == pytest.approx(0.484, abs=0.005)
    assert (signed >= 250).mean() < 0.0001
    assert signed.mean() == pytest.approx(128, abs=0.3)
    assert signed.std() == pytest.approx(25, abs=0.3)


def test_wrapped_noise_never_darkens():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert (add_wrapped_noise(image, 25.0, np.random.default_rng(1)) >= image).all()


def test_wrapping_is_modulo_256_however_large_the_draw():
    black = np.zeros((64, 64, 3), np.uint8)
    draws = np.random.default_rng(1).normal(0.0, 5000.0, black.shape)
    expected = [int(value) % 256 for value in draws.ravel()]  # int() truncates, % is never negative
    assert add_wrapped_noise(black, 5000.0, np.random.default_rng(1)).ravel().tolist() == expected


def test_each_setting_changes_the_result():
    hr = hr_image()
    settings = CapstoneSettings(noise="gaussian")
    default = Capstone(settings)(hr, image_rng(0, "a"))
    others: list[dict[str, Any]] = [
        {"noise_sigma": 5.0}, {"jpeg_quality": 30}, {"blur_before": 1}, {"blur_after": 1}, {"kernel": "bilinear"},
    ]  # fmt: skip
    for other in others:
        changed = Capstone(replace(settings, **other))(hr, image_rng(0, "a"))
        assert not np.array_equal(default, changed), other


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise", "poisson"),
        ("noise_sigma", -1.0),
        ("noise_sigma", float("nan")),
        ("jpeg_quality", 0),
        ("jpeg_quality", 101),
        ("jpeg_quality", 70.5),
        ("blur_before", 4),
        ("blur_after", 0),
        ("kernel", "lanczos"),
    ],
)
def test_wrong_settings_are_refused_by_name_and_value(name, value):
    with pytest.raises(LeukoError, match=f"{name} is {value!r}"):
        CapstoneSettings(**{name: value})
