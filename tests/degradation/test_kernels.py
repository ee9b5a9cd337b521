"""The blur kernels against their formulas."""

import math

import numpy as np
import pytest

from leukosr.degradation.kernels import BlurKernel, Gaussian, GeneralisedGaussian, Plateau, Sinc
from leukosr.errors import LeukoError

KERNELS: list[BlurKernel] = [
    Gaussian(21, 2.0, 2.0),
    Gaussian(15, 3.0, 0.7, 0.6),
    GeneralisedGaussian(21, 2.0, 2.0, 0.0, 0.5),
    GeneralisedGaussian(9, 2.0, 0.5, -2.0, 4.0),
    Plateau(21, 2.5, 2.5, 0.0, 2.0),
    Plateau(7, 0.2, 3.0, 1.0, 1.0),
    Sinc(7, math.pi),
    Sinc(21, math.pi / 5),
]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_sums_to_one_and_is_symmetric_about_its_centre(kernel):
    matrix = kernel.matrix()
    assert matrix.shape == (kernel.size, kernel.size)
    assert matrix.dtype == np.float32
    assert matrix.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-7)
    assert matrix.argmax() == kernel.size**2 // 2


@pytest.mark.parametrize("kernel", [k for k in KERNELS if isinstance(k, Sinc) or k.sigma_x == k.sigma_y], ids=str)
def test_isotropic_kernels_do_not_change_when_turned_or_mirrored(kernel):
    matrix = kernel.matrix()
    np.testing.assert_allclose(matrix, np.rot90(matrix), atol=1e-7)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-7)


def test_gaussian_is_opencvs_separable_gaussian():
    import cv2

    line = cv2.getGaussianKernel(15, 1.7)
    np.testing.assert_allclose(Gaussian(15, 1.7, 1.7).matrix(), line @ line.T, atol=1e-7)


def test_sigma_x_runs_along_rows_and_rotation_turns_it_by_its_angle():
    y, x = np.mgrid[-10:11, -10:11]
    for angle in (0.0, 0.5, math.pi / 2, -1.0):
        matrix = Gaussian(21, 2.5, 0.8, angle).matrix()
        along = np.cos(angle) * x + np.sin(angle) * y
        across = np.cos(angle) * y - np.sin(angle) * x
        assert (matrix * along**2).sum() == pytest.approx(2.5**2, rel=0.01)
        assert (matrix * across**2).sum() == pytest.approx(0.8**2, rel=0.01)
        assert (matrix * along * across).sum() == pytest.approx(0, abs=0.01)


def test_generalised_gaussian_of_shape_one_is_the_gaussian():
    shape = (21, 2.2, 0.9, 0.4)
    np.testing.assert_array_equal(GeneralisedGaussian(*shape, 1.0).matrix(), Gaussian(*shape).matrix())


def test_larger_shape_makes_a_flatter_top_and_plateau_is_one_half_at_one_sigma():
    def drop(kernel) -> float:
        row = kernel.matrix()[kernel.size // 2]
        return float(row[kernel.size // 2 + 1] / row[kernel.size // 2])

    drops = [drop(GeneralisedGaussian(21, 2.0, 2.0, 0.0, beta)) for beta in (0.5, 1.0, 2.0, 4.0)]
    assert drops == sorted(drops)
    for beta in (1.0, 1.5, 2.0):
        row = Plateau(21, 3.0, 3.0, 0.0, beta).matrix()[10]
        assert row[13] / row[10] == pytest.approx(0.5, rel=1e-5)


def test_sinc_lets_low_frequencies_pass_and_stops_high_ones():
    size, cutoff = 99, math.pi / 2
    matrix = Sinc(size, cutoff).matrix().astype(np.float64)
    offsets = np.arange(size) - size // 2

    def gain(frequency: float) -> float:
        return float((matrix * np.cos(frequency * offsets)[None, :]).sum())

    assert gain(0.5 * cutoff) == pytest.approx(1, abs=0.06)
    assert gain(1.5 * cutoff) == pytest.approx(0, abs=0.06)
    assert matrix.min() < 0  # the lobes that make ringing


def test_sinc_centre_continues_its_neighbourhood():
    # The centre is the limit of J1(c r) / r: for a low cutoff it hardly differs from the next pixel.
    row = Sinc(21, 0.05).matrix()[10]
    assert row[11] / row[10] == pytest.approx(1 - 0.05**2 / 8, abs=1e-5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Gaussian(8, 1, 1), "kernel size is 8"),
        (lambda: Plateau(7, 0, 1), "sigma_x is 0"),
        (lambda: GeneralisedGaussian(7, 1, -2), "sigma_y is -2"),
        (lambda: Sinc(7, 4), "cutoff is 4"),
    ],
)
def test_impossible_kernels_are_refused(make, says):
    with pytest.raises(LeukoError, match=says):
        make()
