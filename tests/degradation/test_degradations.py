"""What holds for every degradation by name, and for the randomness of one image."""

import subprocess
import sys
from dataclasses import FrozenInstanceError

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukosr.degradation import DEGRADATIONS, Bicubic, BicubicSettings, Plain, PlainSettings, image_rng
from leukosr.errors import LeukoError
from leukosr.images.resampling import RESAMPLING, resize

SCALES = (2, 4, 8)


def picture(height: int, width: int) -> np.ndarray:
    """Smooth colour gradients with sharp discs and some texture."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    planes = [128 + 90 * np.sin(x / 9 + k) * np.cos(y / 7 - k) for k in range(3)]
    image = np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)
    image[np.hypot(y - height / 2, x - width / 2) < min(height, width) / 4] = (90, 40, 140)
    return image


def degradation(name: str, scale: int = 4):
    return DEGRADATIONS[name](DEGRADATIONS[name].Settings(scale=scale))


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("scale", SCALES)
def test_lr_is_hr_size_over_scale_in_uint8_rgb(name, scale):
    hr = picture(96, 160)
    before = hr.copy()
    for seed in range(6):
        lr = degradation(name, scale)(hr, image_rng(seed, "a"))
        assert lr.shape == (96 // scale, 160 // scale, 3)
        assert lr.dtype == np.uint8
        assert lr.flags.c_contiguous
    assert np.array_equal(hr, before), "the HR image was changed in place"


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_lr_shows_the_same_scene(name):
    hr = picture(128, 128)
    lr = degradation(name)(hr, image_rng(0, "a"))
    small = cv2.resize(hr, (32, 32), interpolation=cv2.INTER_AREA)
    # Correlated channel by channel: a swap of red and blue would show, since the planes differ in phase.
    for channel in range(3):
        own = [np.corrcoef(lr[..., channel].ravel(), small[..., k].ravel())[0, 1] for k in range(3)]
        assert np.argmax(own) == channel


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(DEGRADATIONS)),
    scale=st.sampled_from(SCALES),
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    seed=st.integers(0, 2**31),
)
def test_any_size_divisible_by_the_scale_gives_exactly_hr_over_scale(name, scale, height, width, seed):
    hr = np.random.default_rng(seed).integers(0, 256, (height * scale, width * scale, 3), dtype=np.uint8)
    lr = degradation(name, scale)(hr, image_rng(seed, "x"))
    assert lr.shape == (height, width, 3)
    assert lr.dtype == np.uint8


@pytest.mark.parametrize("name", ["capstone", "second_order"])
def test_same_seed_and_id_give_the_same_bytes_and_another_id_or_seed_others(name):
    hr, degrade = picture(64, 64), degradation(name)
    first = degrade(hr, image_rng(7, "cell_1"))
    degrade(hr, image_rng(7, "cell_2"))  # what is made in between changes nothing
    assert np.array_equal(first, degrade(hr, image_rng(7, "cell_1")))
    assert not np.array_equal(first, degrade(hr, image_rng(7, "cell_2")))
    assert not np.array_equal(first, degrade(hr, image_rng(8, "cell_1")))


@pytest.mark.parametrize("name", ["bicubic", "plain"])
def test_shrinking_alone_is_the_same_whatever_the_seed(name):
    hr, degrade = picture(64, 64), degradation(name)
    assert np.array_equal(degrade(hr, image_rng(0, "a")), degrade(hr, image_rng(1, "b")))


@pytest.mark.parametrize("kernel", RESAMPLING)
@pytest.mark.parametrize("scale", SCALES)
def test_bicubic_is_one_resampling_with_the_kernel_of_its_settings(kernel, scale):
    hr = picture(64, 96)
    lr = Bicubic(BicubicSettings(scale, kernel))(hr, image_rng(0, "a"))
    assert np.array_equal(lr, resize(hr, (64 // scale, 96 // scale), kernel))


def test_bicubic_is_antialiased_unless_told_otherwise_and_knows_no_other_factor():
    assert BicubicSettings().kernel == "pillow_bicubic"
    with pytest.raises(LeukoError, match="scale is 3, expected one of 2, 4, 8"):
        BicubicSettings(scale=3)
    with pytest.raises(LeukoError, match="kernel is 'lanczos'"):
        BicubicSettings(kernel="lanczos")  # type: ignore[arg-type]


def test_plain_is_opencvs_bilinear_as_published_or_after_a_gaussian():
    hr = picture(128, 128)
    shrunk = [Plain(PlainSettings(blur=sigma))(hr, image_rng(0, "a")) for sigma in (0, 1.6)]
    blurred = cv2.GaussianBlur(hr, (0, 0), 1.6)
    for lr, source in zip(shrunk, (hr, blurred), strict=True):
        assert np.array_equal(lr, cv2.resize(source, (32, 32), interpolation=cv2.INTER_LINEAR))
    assert not np.array_equal(shrunk[0], shrunk[1])
    with pytest.raises(LeukoError, match="blur is -1"):
        PlainSettings(blur=-1)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_opencv_thread_count_does_not_change_bytes(name):
    hr, degrade = picture(192, 256), degradation(name)
    before = cv2.getNumThreads()
    made = []
    try:
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            made.append([degrade(hr, image_rng(seed, "a")) for seed in range(8)])
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(made[0], made[1])


def test_image_rng_draws_the_same_numbers_in_every_version_of_this_code():
    # Frozen: a change here silently changes every LR image of every study.
    assert image_rng(0, "BloodImage_00001").integers(0, 1000, 4).tolist() == [709, 463, 975, 534]
    assert image_rng(1, "2/3").random() != image_rng(12, "/3").random()


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_lr_of_a_size_that_the_scale_does_not_divide_is_rounded_up(name):
    lr = degradation(name)(np.full((575, 574, 3), 200, np.uint8), image_rng(0, "a"))
    assert lr.shape == (144, 144, 3)


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((64, 64, 3), np.float32), "float32"),
        (np.zeros((64, 64), np.uint8), r"uint8 \(64, 64\)"),
        (np.zeros((64, 64, 4), np.uint8), r"\(64, 64, 4\)"),
        (np.zeros((0, 64, 3), np.uint8), r"\(0, 64, 3\)"),
        ([[[0, 0, 0]]], "list"),
    ],
)
def test_wrong_images_are_refused(name, image, found):
    with pytest.raises(LeukoError, match=found):
        degradation(name)(image, image_rng(0, "a"))


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("scale", [0, -4, 1, 2.0, True, 1000, "4"])
def test_wrong_scale_is_refused_by_name(name, scale):
    with pytest.raises(LeukoError, match="scale"):
        DEGRADATIONS[name].Settings(scale=scale)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_settings_are_frozen(name):
    with pytest.raises(FrozenInstanceError):
        DEGRADATIONS[name].Settings().scale = 8


def test_importing_the_package_imports_no_torch():
    code = "import sys, leukosr.degradation; print(sorted({'torch', 'mlflow', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
