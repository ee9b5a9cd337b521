"""The losses against formulas worked out by hand, and USM sharpening against OpenCV."""

import math
from collections.abc import Iterator
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from leukosr.errors import LeukoError
from leukosr.superres import DISCRIMINATORS
from leukosr.superres.losses import (
    DISCRIMINATOR_LOSSES,
    PerceptualDistance,
    RealESRGANGeneratorLoss,
    SRGANGeneratorLoss,
    VGGFeatures,
    real_esrgan_discriminator_loss,
    srgan_discriminator_loss,
    total_variation,
    usm_sharpen,
)


def images(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def opencv_usm(image: np.ndarray, weight: float = 0.5, threshold: float = 10.0) -> np.ndarray:
    def blur(plane: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(plane, (51, 51), 0, borderType=cv2.BORDER_REFLECT_101)

    residual = image - blur(image)
    mask = blur((np.abs(residual) * 255 > threshold).astype(np.float32))
    return mask * np.clip(image + weight * residual, 0, 1) + (1 - mask) * image


@pytest.fixture(scope="module")
def vgg16() -> VGGFeatures:
    return VGGFeatures("vgg16", ["relu1_1", "pool5"], "none", seed=1)


@pytest.fixture(scope="module")
def real_esrgan_loss() -> Iterator[RealESRGANGeneratorLoss]:
    yield RealESRGANGeneratorLoss(vgg_weights="none", sharpen_targets=False)


def test_srgan_image_loss_is_the_mean_squared_error() -> None:
    loss = SRGANGeneratorLoss(image=2.0, adversarial=0, perceptual=0, total_variation=0)
    generated, target = torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), 0.2)
    parts = loss(generated, target)
    assert parts.keys() == {"image", "total"}
    assert parts["image"].item() == pytest.approx(2 * 0.09)


def test_srgan_adversarial_loss_is_the_mean_of_one_minus_probability() -> None:
    loss = SRGANGeneratorLoss(image=0, perceptual=0, total_variation=0)
    flat = torch.zeros(2, 3, 2, 2)
    parts = loss(flat, flat, torch.tensor([[0.25], [0.75]]))
    assert parts["adversarial"].item() == pytest.approx(0.001 * 0.5)


def test_total_variation_matches_its_formula_by_hand() -> None:
    plane = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 0.5]])
    batch = plane.expand(2, 3, 2, 3)
    vertical = (0.5**2 + 0.5**2 + 0.5**2) / 3
    horizontal = (1 + 1 + 0 + 0) / 4
    assert total_variation(batch).item() == pytest.approx(2 * (vertical + horizontal))


def test_total_variation_enters_the_srgan_loss_with_its_weight() -> None:
    loss = SRGANGeneratorLoss(image=0, adversarial=0, perceptual=0)
    generated = images(1, 4, 5)
    found = loss(generated, torch.zeros_like(generated))["total_variation"]
    assert found.item() == pytest.approx(2e-8 * total_variation(generated).item(), rel=1e-5)


def test_srgan_perceptual_loss_is_the_squared_error_of_the_first_31_vgg16_layers() -> None:
    loss = SRGANGeneratorLoss(vgg_weights="none", seed=3)
    with torch.device("meta"):
        network = torchvision.models.vgg16(weights=None).features[:31]
    network = network.to_empty(device="cpu")
    network.load_state_dict(loss.perceptual_distance.features.features.state_dict())
    assert len(network) == len(loss.perceptual_distance.features.features) == 31
    generated, target = images(1, 40, 33, seed=1), images(1, 40, 33, seed=2)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        difference = network((generated - mean) / std) - network((target - mean) / std)
        parts = loss(generated, target, torch.tensor([[0.5]]))
    assert parts["perceptual"].item() == pytest.approx(0.006 * difference.square().mean().item(), rel=1e-4)


def test_srgan_discriminator_loss_by_hand() -> None:
    parts = srgan_discriminator_loss(torch.tensor([[0.9], [0.7]]), torch.tensor([[0.1], [0.4]]))
    assert parts["real"].item() == pytest.approx(0.2)
    assert parts["generated"].item() == pytest.approx(0.25)
    assert parts["total"].item() == pytest.approx(0.45)


def test_real_esrgan_image_loss_is_the_mean_absolute_error() -> None:
    loss = RealESRGANGeneratorLoss(perceptual=0, adversarial=0, sharpen_targets=False)
    generated = torch.tensor([0.5, 0.0]).expand(1, 3, 1, 2)
    target = torch.tensor([0.2, 0.1]).expand(1, 3, 1, 2)
    assert loss(generated, target)["image"].item() == pytest.approx(0.2)


def test_real_esrgan_adversarial_loss_is_cross_entropy_against_real() -> None:
    loss = RealESRGANGeneratorLoss(image=0, perceptual=0, sharpen_targets=False)
    flat = torch.zeros(1, 3, 1, 2)
    logits = torch.tensor([-2.0, 1.0]).view(1, 1, 1, 2)
    expected = (math.log1p(math.exp(2)) + math.log1p(math.exp(-1))) / 2
    assert loss(flat, flat, logits)["adversarial"].item() == pytest.approx(0.1 * expected)


def test_real_esrgan_discriminator_loss_by_hand() -> None:
    parts = real_esrgan_discriminator_loss(torch.tensor([3.0]), torch.tensor([-1.0]))
    assert parts["real"].item() == pytest.approx(math.log1p(math.exp(-3)))
    assert parts["generated"].item() == pytest.approx(math.log1p(math.exp(-1)))
    assert parts["total"].item() == pytest.approx((parts["real"] + parts["generated"]).item())


def test_real_esrgan_perceptual_loss_compares_five_maps_before_their_relus(
    real_esrgan_loss: RealESRGANGeneratorLoss,
) -> None:
    features = real_esrgan_loss.perceptual_distance.features
    generated, target = images(1, 32, 32, seed=1), images(1, 32, 32, seed=2)
    # torchvision's VGG19: the places of conv1_2, conv2_2, conv3_4, conv4_4 and conv5_4.
    weights = {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0}
    x = (torch.cat([generated, target]) - features.mean) / features.std
    expected = 0.0
    with torch.no_grad():
        for place, module in enumerate(features.features):
            x = module(x)
            if place in weights:
                assert (x < 0).any()
                expected += weights[place] * (x[0] - x[1]).abs().mean().item()
        parts = real_esrgan_loss(generated, target, torch.zeros(1, 1, 32, 32))
    assert parts["perceptual"].item() == pytest.approx(expected, rel=1e-4)


def test_real_esrgan_sharpens_the_target_only_when_asked() -> None:
    generated, target = images(1, 24, 24, seed=1), images(1, 24, 24, seed=2)
    sharp = RealESRGANGeneratorLoss(perceptual=0, adversarial=0)(generated, target)["image"]
    plain = RealESRGANGeneratorLoss(perceptual=0, adversarial=0, sharpen_targets=False)(generated, target)["image"]
    assert sharp.item() == pytest.approx((generated - usm_sharpen(target)).abs().mean().item())
    assert plain.item() == pytest.approx((generated - target).abs().mean().item())
    assert abs(sharp.item() - plain.item()) > 1e-3


@pytest.mark.parametrize(("method", "loss"), [("srgan", SRGANGeneratorLoss), ("real_esrgan", RealESRGANGeneratorLoss)])
def test_losses_of_every_method_drive_generator_and_discriminator(
    method: str, loss: type[SRGANGeneratorLoss | RealESRGANGeneratorLoss]
) -> None:
    discriminator = DISCRIMINATORS[method](features=4)
    generated, target = images(2, 32, 32, seed=1).requires_grad_(), images(2, 32, 32, seed=2)
    parts = loss(perceptual=0)(generated, target, discriminator(generated))
    assert parts["total"].item() == pytest.approx(sum(v.item() for k, v in parts.items() if k != "total"))
    parts["total"].backward()
    assert generated.grad.abs().sum() > 0
    discriminator.zero_grad()
    DISCRIMINATOR_LOSSES[method](discriminator(target), discriminator(generated.detach()))["total"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in discriminator.parameters())


def test_adversarial_part_without_scores_is_an_error() -> None:
    loss = RealESRGANGeneratorLoss(perceptual=0, sharpen_targets=False)
    with pytest.raises(ValueError, match="discriminator's scores"):
        loss(images(1, 8, 8), images(1, 8, 8))


def test_perceptual_gradient_reaches_the_generated_image_and_nothing_else(vgg16: VGGFeatures) -> None:
    distance = PerceptualDistance(vgg16, {"pool5": 1.0}, "l2")
    generated = images(1, 32, 32, seed=1).requires_grad_()
    target = images(1, 32, 32, seed=2).requires_grad_()
    distance(generated, target).backward()
    assert generated.grad.abs().sum() > 0
    assert target.grad is None
    assert all(not p.requires_grad and p.grad is None for p in vgg16.parameters())


def test_vgg_normalises_its_input_as_for_imagenet_unless_told_not_to(vgg16: VGGFeatures) -> None:
    plain = VGGFeatures("vgg16", ["relu1_1"], "none", normalise=False, seed=1)
    batch = images(1, 32, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (batch - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert torch.allclose(vgg16(batch)["relu1_1"], plain(normalised)["relu1_1"], atol=1e-5)
    assert not torch.allclose(plain(batch)["relu1_1"], plain(normalised)["relu1_1"], atol=1e-2)


def test_random_vgg_depends_on_its_seed_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (VGGFeatures("vgg16", ["conv1_2"], "none", seed=s) for s in (4, 4, 5))
    assert torch.equal(before, torch.get_rng_state())
    batch = images(1, 8, 8)
    assert torch.equal(first(batch)["conv1_2"], again(batch)["conv1_2"])
    assert not torch.equal(first(batch)["conv1_2"], other(batch)["conv1_2"])


@pytest.mark.parametrize(("size", "fits"), [((32, 32), True), ((31, 64), False), ((64, 16), False)])
def test_vgg16_up_to_pool5_needs_32_pixels(vgg16: VGGFeatures, size: tuple[int, int], fits: bool) -> None:
    if fits:
        assert vgg16(images(1, *size))["pool5"].shape == (1, 512, 1, 1)
    else:
        with pytest.raises(LeukoError, match=f"at least 32 pixels a side and got {size[0]} x {size[1]}"):
            vgg16(images(1, *size))


def test_real_esrgan_perceptual_loss_needs_only_16_pixels(real_esrgan_loss: RealESRGANGeneratorLoss) -> None:
    with torch.no_grad():
        parts = real_esrgan_loss(images(1, 16, 16), images(1, 16, 16, seed=1), torch.zeros(1, 1, 16, 16))
        assert parts["perceptual"].item() > 0
        with pytest.raises(LeukoError, match="at least 16 pixels"):
            real_esrgan_loss(images(1, 15, 16), images(1, 15, 16), torch.zeros(1, 1, 15, 16))


def test_unknown_vgg_layer_is_refused() -> None:
    with pytest.raises(LeukoError, match="vgg16 has no layer 'conv3_4'"):
        VGGFeatures("vgg16", ["conv3_4"], "none")


@pytest.mark.parametrize("failure", [URLError("no route to host"), RuntimeError("invalid hash value")])
@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_unreachable_imagenet_weights_are_an_error_and_never_replaced(
    monkeypatch: pytest.MonkeyPatch, network: str, failure: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", fail)
    with pytest.raises(LeukoError, match=rf"ImageNet weights of {network}.*could not be fetched.*weights: none"):
        VGGFeatures(network, ["conv1_1"], "imagenet")


def test_imagenet_weights_are_the_ones_used_when_they_can_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    published = {"features.0.weight": torch.rand(64, 3, 3, 3), "features.0.bias": torch.rand(64)}
    published["classifier.0.bias"] = torch.rand(4096)
    asked = []

    def fetch(url: str, **_: object) -> dict[str, Tensor]:
        asked.append(url)
        return published

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", fetch)
    features = VGGFeatures("vgg19", ["conv1_1"], "imagenet")
    assert asked == [torchvision.models.VGG19_Weights.IMAGENET1K_V1.url]
    assert torch.equal(features.features[0].weight, published["features.0.weight"])


@pytest.mark.parametrize("size", [(80, 64), (26, 26), (25, 60), (12, 9), (2, 3), (1, 1)])
def test_usm_sharpening_agrees_with_opencv_also_below_the_blur_radius(size: tuple[int, int]) -> None:
    batch = images(2, *size, seed=7)
    expected = np.stack([opencv_usm(image.permute(1, 2, 0).numpy().copy()).reshape(*size, 3) for image in batch])
    found = usm_sharpen(batch).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_usm_sharpening_steepens_an_edge_and_leaves_faint_texture_alone() -> None:
    edge = torch.full((1, 3, 64, 64), 0.3)
    edge[..., 32:] = 0.7
    sharpened = usm_sharpen(edge)
    assert sharpened[0, 0, 32, 32] > 0.75
    assert sharpened[0, 0, 32, 31] < 0.25
    faint = 0.5 + 0.01 * images(1, 64, 64)  # under 10 of 255 grey levels
    assert torch.equal(usm_sharpen(faint), faint)


def test_usm_sharpening_stays_in_the_unit_interval() -> None:
    extremes = (images(1, 64, 64) > 0.5).float()
    sharpened = usm_sharpen(extremes)
    assert sharpened.min() >= 0
    assert sharpened.max() <= 1
