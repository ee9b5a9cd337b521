"""What each named resampling kernel does."""

import numpy as np
import pytest
from PIL import Image

from leukosr.errors import LeukoError
from leukosr.images.resampling import RESAMPLING, brought_to, resize, shrink_into


def noise_image(height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("kernel", RESAMPLING)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("size", [(16, 24), (100, 200), (1, 1), (64, 96)])
def test_size_is_height_width_and_dtype_stays(kernel, dtype, size):
    out = resize(noise_image().astype(dtype), size, kernel)
    assert out.shape == (*size, 3)
    assert out.dtype == dtype
    assert out.flags.c_contiguous and out.flags.writeable


@pytest.mark.parametrize("kernel", RESAMPLING)
def test_float_and_uint8_agree_where_nothing_saturates(kernel):
    image = (noise_image() // 4 + 90).astype(np.uint8)
    whole = resize(image, (16, 24), kernel).astype(np.float32)
    exact = resize(image.astype(np.float32), (16, 24), kernel)
    assert np.abs(whole - exact).max() <= 1.0


@pytest.mark.parametrize("kernel", RESAMPLING)
def test_a_constant_image_stays_constant(kernel):
    image = np.full((32, 32, 3), (10, 120, 250), np.uint8)
    assert np.array_equal(resize(image, (8, 8), kernel), np.full((8, 8, 3), (10, 120, 250), np.uint8))


def test_pillow_bicubic_equals_torchvision_antialiased_bicubic():
    import torch
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import resize as torch_resize

    image = noise_image()
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
    for size in ((16, 24), (32, 48), (8, 12), (256, 384)):
        theirs = torch_resize(tensor, list(size), InterpolationMode.BICUBIC, antialias=True)
        ours = resize(image, size, "pillow_bicubic").astype(int)
        assert np.abs(ours - theirs.numpy().transpose(1, 2, 0)).max() <= 1


def test_pillow_bicubic_is_pillows_own_result():
    image = noise_image()
    theirs = np.asarray(Image.fromarray(image).resize((24, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(resize(image, (16, 24), "pillow_bicubic"), theirs)


def test_opencv_bicubic_aliases_where_pillow_bicubic_does_not():
    # Stripes of period 3 pixels cannot survive a shrink by 4.
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, ::3] = 255
    assert resize(stripes, (24, 24), "pillow_bicubic").std() < 8
    assert resize(stripes, (24, 24), "opencv_bicubic").std() > 40


@pytest.mark.parametrize(
    ("image", "size", "kernel", "says"),
    [
        (np.zeros((8, 8, 3), np.uint8), (4, 4), "bicubic", "'bicubic'.*opencv_bicubic"),
        (np.zeros((8, 8, 3), np.float64), (4, 4), "bilinear", "float64"),
        (np.zeros((8, 8), np.uint8), (4, 4), "bilinear", r"\(8, 8\)"),
        (np.zeros((8, 8, 3), np.uint8), (0, 4), "bilinear", r"\(0, 4\)"),
    ],
)
def test_wrong_arguments_are_refused(image, size, kernel, says):
    with pytest.raises(LeukoError, match=says):
        resize(image, size, kernel)


def test_area_takes_means_of_the_pixels_it_replaces():
    image = noise_image()
    means = image.astype(float).reshape(16, 4, 24, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize(image, (16, 24), "area") - means).max() <= 0.5


@pytest.mark.parametrize(
    ("size", "expected"), [((32, 48), (32, 48)), ((32, 400), (32, 48)), ((90, 48), (32, 48)), ((64, 96), (64, 96))]
)
def test_an_image_is_shrunk_until_it_fits_and_keeps_its_shape(size, expected):
    assert shrink_into(noise_image(), size).shape == (*expected, 3)


def test_an_image_that_fits_is_left_alone():
    image = noise_image()
    assert shrink_into(image, (65, 96)) is image


@pytest.mark.parametrize(
    ("size", "kernel"),
    [((16, 24), "area"), ((64, 24), "area"), ((128, 24), "opencv_bicubic"), ((128, 96), "opencv_bicubic")],
)
def test_only_an_image_of_which_no_side_grows_is_brought_to_a_size_by_means(size, kernel):
    image = noise_image()
    assert np.array_equal(brought_to(image, size, "opencv_bicubic"), resize(image, size, kernel))
