"""Real-ESRGAN's degradation: what is drawn has the published odds, and is applied in the published order."""

import math
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from leukosr.degradation import SecondOrder, SecondOrderSettings, image_rng
from leukosr.degradation.kernels import Gaussian, GeneralisedGaussian, Plateau, Sinc
from leukosr.degradation.noise import add_gaussian_noise, add_poisson_noise
from leukosr.degradation.rounds import KernelMix, Noise, ResizeMix, Resizing, RoundDraw
from leukosr.degradation.second_order import FIRST_ROUND, SECOND_ROUND, Recipe
from leukosr.errors import LeukoError

DRAWS = 4000


@pytest.fixture(scope="module")
def recipes() -> list[Recipe]:
    rng, degrade = np.random.default_rng(0), SecondOrder(SecondOrderSettings())
    return [degrade.draw(rng) for _ in range(DRAWS)]


def kind(kernel) -> str:
    if isinstance(kernel, Sinc):
        return "sinc"
    family = {Gaussian: "", GeneralisedGaussian: "generalised_", Plateau: "plateau_"}[type(kernel)]
    return family + ("isotropic" if kernel.sigma_x == kernel.sigma_y else "anisotropic")


def share(values, wanted) -> float:
    values = list(values)
    return sum(value == wanted for value in values) / len(values)


def near(probability: float, draws: int = DRAWS):
    """Four standard errors of a share."""
    return pytest.approx(probability, abs=4 * math.sqrt(probability * (1 - probability) / draws) + 1e-9)


@pytest.mark.parametrize(("which", "blurred"), [("first", 1.0), ("second", 0.8)])
def test_kernel_kinds_have_the_published_probabilities(recipes, which, blurred):
    kernels = [getattr(recipe, which).kernel for recipe in recipes]
    assert 1 - share(kernels, None) == near(blurred)
    kinds = Counter(kind(kernel) for kernel in kernels if kernel is not None)
    total = sum(kinds.values())
    published = {
        "isotropic": 0.45, "anisotropic": 0.25, "generalised_isotropic": 0.12,
        "generalised_anisotropic": 0.03, "plateau_isotropic": 0.12, "plateau_anisotropic": 0.03,
    }  # fmt: skip
    assert kinds["sinc"] / total == near(0.1, total)
    for name, probability in published.items():
        assert kinds[name] / total == near(0.9 * probability, total), name


@pytest.mark.parametrize(("which", "largest"), [("first", 3.0), ("second", 1.5)])
def test_kernels_stay_in_and_fill_the_published_ranges(recipes, which, largest):
    kernels = [k for recipe in recipes if (k := getattr(recipe, which).kernel) is not None]
    sizes = Counter(kernel.size for kernel in kernels)
    assert sorted(sizes) == list(range(7, 22, 2))
    assert all(count / len(kernels) == near(1 / 8, len(kernels)) for count in sizes.values())
    sigmas = [s for k in kernels if not isinstance(k, Sinc) for s in (k.sigma_x, k.sigma_y)]
    assert 0.2 <= min(sigmas) < 0.25 and largest - 0.05 < max(sigmas) <= largest
    for family, low, high in ((GeneralisedGaussian, 0.5, 4.0), (Plateau, 1.0, 2.0)):
        betas = [k.beta for k in kernels if isinstance(k, family)]
        assert low <= min(betas) < low + 0.05 and high - 0.1 < max(betas) <= high
        assert np.mean(np.array(betas) <= 1) == near(0.5, len(betas))
    for kernel in kernels:
        if isinstance(kernel, Sinc):
            assert math.pi / (3 if kernel.size < 13 else 5) <= kernel.cutoff <= math.pi


@pytest.mark.parametrize(
    ("which", "probabilities", "bounds"),
    [("first", (0.2, 0.7, 0.1), (0.15, 1.5)), ("second", (0.3, 0.4, 0.3), (0.3, 1.2))],
)
def test_resizing_has_the_published_probabilities(recipes, which, probabilities, bounds):
    (up, down, keep), (low, high) = probabilities, bounds
    resizings = [getattr(recipe, which).resizing for recipe in recipes]
    factors = np.array([resizing.factor for resizing in resizings])
    assert np.mean(factors > 1) == near(up)
    assert np.mean(factors < 1) == near(down)
    assert np.mean(factors == 1) == near(keep)
    assert low <= factors.min() < low + 0.02 and high - 0.02 < factors.max() <= high
    for mode in ("area", "bilinear", "bicubic"):
        assert share((resizing.mode for resizing in resizings), mode) == near(1 / 3)


@pytest.mark.parametrize(("which", "sigma", "poisson"), [("first", 30.0, 3.0), ("second", 25.0, 2.5)])
def test_noise_and_jpeg_have_the_published_probabilities(recipes, which, sigma, poisson):
    rounds = [getattr(recipe, which) for recipe in recipes]
    noises = [round_.noise for round_ in rounds]
    assert share((noise.kind for noise in noises), "gaussian") == near(0.5)
    assert share((noise.gray for noise in noises), True) == near(0.4)
    for name, low, high in (("gaussian", 1.0, sigma), ("poisson", 0.05, poisson)):
        strengths = [noise.strength for noise in noises if noise.kind == name]
        assert low <= min(strengths) < low + 0.1 and high - 0.1 < max(strengths) <= high
        assert np.mean(strengths) == pytest.approx((low + high) / 2, rel=0.05)
    qualities = Counter(round_.jpeg_quality for round_ in rounds)
    assert sorted(qualities) == list(range(30, 96))


def test_final_filter_and_order_have_the_published_probabilities(recipes):
    assert share((recipe.sinc for recipe in recipes), None) == near(0.2)
    assert share((recipe.sinc_before_jpeg for recipe in recipes), True) == near(0.5)
    cutoffs = [recipe.sinc.cutoff for recipe in recipes if recipe.sinc is not None]
    assert math.pi / 3 <= min(cutoffs) < 1.1 and 3.1 < max(cutoffs) <= math.pi
    for mode in ("area", "bilinear", "bicubic"):
        assert share((recipe.final_mode for recipe in recipes), mode) == near(1 / 3)


def still(factor: float = 1.0, quality: int = 100, kernel=None) -> RoundDraw:
    """A round without noise."""
    return RoundDraw(kernel, Resizing(factor, "bilinear"), Noise("gaussian", 0.0, False), quality)


def codec(image: np.ndarray, quality: int) -> np.ndarray:
    """JPEG on float RGB in [0, 1], by OpenCV."""
    bgr = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)[..., ::-1]
    encoded = cv2.imencode(".jpg", np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1].astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("sinc_before_jpeg", [True, False])
def test_rounds_and_final_steps_run_in_the_published_order(sinc_before_jpeg):
    small = np.random.default_rng(2).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    hr = np.asarray(cv2.resize(small, (80, 64), interpolation=cv2.INTER_CUBIC), np.uint8)
    blur, sinc = Gaussian(9, 1.5, 0.5, 0.7), Sinc(7, 1.8)
    recipe = Recipe(still(0.5, 60, blur), still(1.2, 40, blur), sinc, "bicubic", sinc_before_jpeg)
    image = cv2.filter2D(hr.astype(np.float32) / np.float32(255), -1, blur.matrix())
    image = codec(cv2.resize(image, (40, 32), interpolation=cv2.INTER_LINEAR), 60)
    image = cv2.filter2D(image, -1, blur.matrix())
    image = cv2.resize(image, (24, 19), interpolation=cv2.INTER_LINEAR)  # 1.2 times the LR size 20 x 16
    image = np.clip(image, 0, 1)
    if not sinc_before_jpeg:
        image = codec(image, 40)
    image = cv2.filter2D(cv2.resize(image, (20, 16), interpolation=cv2.INTER_CUBIC), -1, sinc.matrix())
    if sinc_before_jpeg:
        image = codec(image, 40)
    expected = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    lr = SecondOrder(SecondOrderSettings()).apply(recipe, hr, image_rng(0, "a"))
    assert np.array_equal(lr, expected)


def test_a_call_is_a_draw_followed_by_its_application():
    hr = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    degrade, rng = SecondOrder(SecondOrderSettings()), image_rng(0, "a")
    recipe = degrade.draw(rng)
    assert np.array_equal(degrade.apply(recipe, hr, rng), degrade(hr, image_rng(0, "a")))


def test_gaussian_noise_has_its_sigma_and_gray_noise_is_equal_in_the_channels():
    gray_image = np.full((128, 128, 3), 0.5, np.float32)
    colour = add_gaussian_noise(gray_image, 20.0, False, np.random.default_rng(0)) - gray_image
    gray = add_gaussian_noise(gray_image, 20.0, True, np.random.default_rng(0)) - gray_image
    for noise in (colour, gray):
        assert noise.dtype == np.float32
        assert noise.std() * 255 == pytest.approx(20, rel=0.02)
    assert abs(np.corrcoef(colour[..., 0].ravel(), colour[..., 1].ravel())[0, 1]) < 0.05
    assert np.ptp(gray, axis=2).max() < 1e-6


@pytest.mark.parametrize("gray", [False, True])
def test_poisson_noise_has_the_variance_of_as_many_photons_as_levels(gray):
    # 100 distinct levels: full scale is 128 photons. The same level in all channels, so luma is the level.
    levels = np.repeat(np.arange(60, 160, dtype=np.float32), 4000).reshape(400, 1000, 1) / 255
    image = np.repeat(levels, 3, axis=2).astype(np.float32)
    before = image.copy()
    noise = add_poisson_noise(image, 0.5, gray, np.random.default_rng(0)) - image
    assert np.array_equal(image, before)
    for level in (60, 100, 150):
        here = noise[np.rint(image * 255) == level]
        assert here.mean() == pytest.approx(0, abs=0.003)
        assert here.var() == pytest.approx(0.25 * level / 255 / 128, rel=0.1)
    assert (np.ptp(noise, axis=2).max() < 1e-6) == gray


def test_poisson_noise_of_one_level_counts_single_photons():
    image = np.full((100, 100, 3), 102 / 255, np.float32)  # 0.4 photons a pixel
    noisy = add_poisson_noise(image, 1.0, False, np.random.default_rng(0))
    assert np.unique(noisy).tolist() == [0.0, 1.0]
    assert np.mean(noisy == 0) == pytest.approx(math.exp(-0.4), abs=0.01)


def test_values_below_0_have_no_photons():
    image = np.full((100, 100, 3), -0.2, np.float32)
    image[:50] = 0.5
    noisy = add_poisson_noise(image, 1.0, False, np.random.default_rng(0))
    assert noisy[50:].max() == 0 and noisy[:50].max() > 0


def test_gray_poisson_noise_counts_the_photons_of_the_luma():
    image = np.zeros((100, 100, 3), np.float32)
    image[..., 0] = 1  # red, of luma 76
    noisy = add_poisson_noise(image, 1.0, True, np.random.default_rng(0))
    assert np.mean(noisy[..., 2] == 0) == pytest.approx(math.exp(-76 / 255), abs=0.02)


def test_noise_stays_in_range():
    image = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    for add, strength in ((add_gaussian_noise, 200.0), (add_poisson_noise, 30.0)):
        noisy = add(image, strength, False, np.random.default_rng(0))
        assert noisy.min() == 0 and noisy.max() == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SecondOrderSettings(final_sinc_probability=1.5), "final_sinc_probability is 1.5"),
        (lambda: SecondOrderSettings(sinc_before_jpeg_probability=-1), "sinc_before_jpeg_probability"),
        (lambda: SecondOrderSettings(final_kernel_sizes=(8,)), "final_kernel_sizes"),
        (lambda: replace(FIRST_ROUND, blur_probability="often"), "blur_probability is 'often'"),  # type: ignore[arg-type]
        (lambda: replace(FIRST_ROUND, sigma=(3.0, 0.2)), "sigma is"),
        (lambda: replace(FIRST_ROUND, sigma=2.0), "sigma is 2.0"),  # type: ignore[arg-type]
        (lambda: replace(SECOND_ROUND, resize_scale=(0.3, 0.9)), "resize_scale .*contains 1"),
        (lambda: replace(SECOND_ROUND, jpeg_quality=(0, 95)), "jpeg_quality"),
        (lambda: replace(SECOND_ROUND, jpeg_quality=(30.5, 95)), "jpeg_quality is 30.5"),  # type: ignore[arg-type]
        (lambda: replace(SECOND_ROUND, kernel_sizes=()), "kernel_sizes"),
        (lambda: ResizeMix(0.5, 0.5, 0.5), "resize is .*add up to 1"),
        (lambda: KernelMix(isotropic=1.0), "kernels is .*add up to 1"),
    ],
)
def test_wrong_settings_are_refused_by_name(make, says):
    with pytest.raises(LeukoError, match=says):
        make()
