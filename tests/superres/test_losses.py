"""The losses against formulas worked out by hand, and USM sharpening against OpenCV."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

from leukosr.config import TrainSR
from leukosr.engine.weights import write_tensors
from leukosr.errors import LeukoError
from leukosr.superres import DISCRIMINATORS
from leukosr.superres.losses import perceptual_distance, total_variation, usm_sharpen
from leukosr.superres.methods import METHODS
from leukosr.superres.methods.method import Objective, TrainGAN
from leukosr.superres.vgg import VGGFeatures, VGGName

from .tiny import changed

CPU = torch.device("cpu")
NOTHING = {"image": 0.0, "adversarial": 0.0, "perceptual": 0.0}
Make = Callable[..., Objective]


@pytest.fixture(scope="session")
def objective(published: Callable[[str], TrainSR]) -> Make:
    """The objective of a method's last stage with those parts of its loss alone that `losses` weighs."""

    def make(method: str, losses: dict[str, float], seed: int = 0, **changes: Any) -> Objective:
        none = {**NOTHING, "total_variation": 0.0} if method == "srgan" else NOTHING
        settings = changed(published(method), losses=none | losses, **changes)
        return settings.objective(settings.stages[-1], seed, CPU)

    return make


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
def five_maps(objective: Make) -> Objective:
    return objective("real_esrgan", {"perceptual": 1.0}, seed=2, sharpen_target=False)


def test_srgan_image_loss_is_the_mean_squared_error(objective: Make) -> None:
    generated, target = torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), 0.2)
    parts = objective("srgan", {"image": 2.0}).generator(generated, target, None)
    assert parts.keys() == {"image"}
    assert parts["image"].item() == pytest.approx(2 * 0.09)


def test_srgan_adversarial_loss_is_the_mean_of_one_minus_probability(objective: Make) -> None:
    flat = torch.zeros(2, 3, 2, 2)
    parts = objective("srgan", {"adversarial": 0.001}).generator(flat, flat, torch.tensor([[0.25], [0.75]]))
    assert parts["adversarial"].item() == pytest.approx(0.001 * 0.5)


def test_total_variation_matches_its_formula_by_hand() -> None:
    plane = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 0.5]])
    batch = plane.expand(2, 3, 2, 3)
    vertical = (0.5**2 + 0.5**2 + 0.5**2) / 3
    horizontal = (1 + 1 + 0 + 0) / 4
    assert total_variation(batch).item() == pytest.approx(2 * (vertical + horizontal))


def test_total_variation_enters_the_srgan_loss_with_its_weight(objective: Make) -> None:
    generated = images(1, 4, 5)
    parts = objective("srgan", {"total_variation": 2e-8}).generator(generated, torch.zeros_like(generated), None)
    assert parts["total_variation"].item() == pytest.approx(2e-8 * total_variation(generated).item(), rel=1e-5)


def test_srgan_perceptual_loss_is_the_squared_error_of_the_first_31_vgg16_layers(objective: Make) -> None:
    drawn = VGGFeatures("vgg16", ["pool5"], "none", seed=3).features
    with torch.device("meta"):
        network = torchvision.models.vgg16(weights=None).features[:31]
    network = network.to_empty(device="cpu")
    network.load_state_dict(drawn.state_dict())
    assert len(network) == len(drawn) == 31
    generated, target = images(1, 40, 33, seed=1), images(1, 40, 33, seed=2)
    with torch.no_grad():
        difference = network(generated) - network(target)  # in [0, 1], as in the case studies' code
        parts = objective("srgan", {"perceptual": 0.006}, seed=3).generator(generated, target, torch.tensor([[0.5]]))
    assert parts["perceptual"].item() == pytest.approx(0.006 * difference.square().mean().item(), rel=1e-4)


def test_srgan_discriminator_loss_by_hand(objective: Make) -> None:
    made = objective("srgan", {"image": 1.0})
    assert made.discriminator is not None
    assert made.discriminator_first
    found = made.discriminator(torch.tensor([[0.9], [0.7]]), torch.tensor([[0.1], [0.4]]))
    assert found.item() == pytest.approx(0.2 + 0.25)


@pytest.mark.parametrize("method", ["srgan_luminance", "sftgan"])
def test_a_discriminator_that_is_sure_and_wrong_learns_and_teaches(objective: Make, method: str) -> None:
    """-log of a probability: of one that rounds to 0 or 1 there would be no gradient left."""
    made = objective(method, {"adversarial": 1.0})
    assert made.discriminator is not None and not made.discriminator_first
    fooled, caught = (torch.tensor([[score]], requires_grad=True) for score in (20.0, -20.0))
    loss = made.discriminator(torch.zeros(1, 1), fooled)
    assert loss.item() == pytest.approx(math.log(2) + 20)
    loss.backward()
    assert fooled.grad is not None and fooled.grad.item() == pytest.approx(1.0)
    flat = torch.zeros(1, 1, 2, 2)
    part = made.generator(flat, flat, caught)["adversarial"]
    part.backward()
    assert part.item() == pytest.approx(20) and caught.grad is not None
    assert caught.grad.item() == pytest.approx(-1.0)


def test_srgan_of_luminance_has_the_vgg_layer_of_its_paper_and_sftgan_the_one_before(objective: Make) -> None:
    generated, target = images(1, 48, 48, seed=1), images(1, 48, 48, seed=2)
    for method, layer in (("srgan_luminance", "relu5_4"), ("sftgan", "conv5_4")):
        features = VGGFeatures("vgg19", [layer], "none", seed=3)
        with torch.no_grad():
            difference = features(generated)[layer] - features(target)[layer]
            parts = objective(method, {"perceptual": 1.0}, seed=3).generator(generated, target, torch.zeros(1, 1))
        assert parts["perceptual"].item() == pytest.approx(difference.square().mean().item(), rel=1e-4)


def test_real_esrgan_image_loss_is_the_mean_absolute_error(objective: Make) -> None:
    generated = torch.tensor([0.5, 0.0]).expand(1, 3, 1, 2)
    target = torch.tensor([0.2, 0.1]).expand(1, 3, 1, 2)
    parts = objective("real_esrgan", {"image": 1.0}, sharpen_target=False).generator(generated, target, None)
    assert parts["image"].item() == pytest.approx(0.2)


def test_real_esrgan_adversarial_loss_is_cross_entropy_against_real(objective: Make) -> None:
    flat = torch.zeros(1, 3, 1, 2)
    logits = torch.tensor([-2.0, 1.0]).view(1, 1, 1, 2)
    expected = (math.log1p(math.exp(2)) + math.log1p(math.exp(-1))) / 2
    parts = objective("real_esrgan", {"adversarial": 0.1}, sharpen_target=False).generator(flat, flat, logits)
    assert parts["adversarial"].item() == pytest.approx(0.1 * expected)


def test_real_esrgan_discriminator_loss_by_hand(objective: Make) -> None:
    made = objective("real_esrgan", {"image": 1.0})
    assert made.discriminator is not None
    assert not made.discriminator_first
    found = made.discriminator(torch.tensor([3.0]), torch.tensor([-1.0]))
    assert found.item() == pytest.approx(math.log1p(math.exp(-3)) + math.log1p(math.exp(-1)))


def test_the_first_stage_of_real_esrgan_knows_the_image_loss_alone(published: Callable[[str], TrainSR]) -> None:
    settings = published("real_esrgan")
    made = settings.objective(settings.stages[0], 0, CPU)
    assert made.generator(images(1, 8, 8), images(1, 8, 8, seed=1), None).keys() == {"image"}
    assert made.discriminator is None


def test_real_esrgan_perceptual_loss_compares_five_maps_before_their_relus(five_maps: Objective) -> None:
    features = VGGFeatures("vgg19", ["conv5_4"], "none", seed=2)
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
        parts = five_maps.generator(generated, target, torch.zeros(1, 1, 32, 32))
    assert parts["perceptual"].item() == pytest.approx(expected, rel=1e-4)


def test_real_esrgan_sharpens_the_target_only_when_asked(objective: Make) -> None:
    generated, target = images(1, 24, 24, seed=1), images(1, 24, 24, seed=2)
    sharp, plain = (
        objective("real_esrgan", {"image": 1.0}, sharpen_target=asked).generator(generated, target, None)["image"]
        for asked in (True, False)
    )
    assert sharp.item() == pytest.approx((generated - usm_sharpen(target)).abs().mean().item())
    assert plain.item() == pytest.approx((generated - target).abs().mean().item())
    assert abs(sharp.item() - plain.item()) > 1e-3


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if issubclass(method, TrainGAN)])
def test_losses_of_every_gan_drive_generator_and_discriminator(
    method: str, published: Callable[[str], TrainSR]
) -> None:
    settings = changed(published(method), losses={"perceptual": 0.0})
    made = settings.objective(settings.stages[-1], 0, CPU)
    network = DISCRIMINATORS[settings.architecture]
    discriminator = network(**network.tiny)
    channels = next(discriminator.parameters()).shape[1]
    generated, target = (images(2, 32, 32, seed=seed)[:, :channels] for seed in (1, 2))
    generated.requires_grad_()
    parts = made.generator(generated, target, discriminator(generated))
    assert "adversarial" in parts
    torch.stack(list(parts.values())).sum().backward()
    assert generated.grad is not None
    assert generated.grad.abs().sum() > 0
    discriminator.zero_grad()
    if made.discriminator is not None:
        made.discriminator(discriminator(target), discriminator(generated.detach())).backward()
    else:
        assert made.discriminator_turns is not None
        for seen, loss_of in zip((generated.detach(), target), made.discriminator_turns, strict=True):
            loss_of(discriminator(seen)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in discriminator.parameters())


def test_perceptual_gradient_reaches_the_generated_image_and_nothing_else() -> None:
    distance = perceptual_distance("vgg16", {"pool5": 1.0}, F.mse_loss, "none", 1, CPU)
    generated = images(1, 32, 32, seed=1).requires_grad_()
    target = images(1, 32, 32, seed=2).requires_grad_()
    distance(generated, target).backward()
    assert generated.grad.abs().sum() > 0
    assert target.grad is None


def test_vgg_learns_nothing(vgg16: VGGFeatures) -> None:
    assert not any(parameter.requires_grad for parameter in vgg16.parameters())


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


def test_real_esrgan_perceptual_loss_needs_only_16_pixels(five_maps: Objective) -> None:
    with torch.no_grad():
        parts = five_maps.generator(images(1, 16, 16), images(1, 16, 16, seed=1), torch.zeros(1, 1, 16, 16))
        assert parts["perceptual"].item() > 0
        with pytest.raises(LeukoError, match="at least 16 pixels"):
            five_maps.generator(images(1, 15, 16), images(1, 15, 16), torch.zeros(1, 1, 15, 16))


def test_unknown_vgg_layer_is_refused() -> None:
    with pytest.raises(LeukoError, match="vgg16 has no layer 'conv3_4'"):
        VGGFeatures("vgg16", ["conv3_4"], "none")


@pytest.mark.parametrize("failure", [URLError("no route to host"), RuntimeError("invalid hash value")])
@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_unreachable_imagenet_weights_are_an_error_and_never_replaced(
    monkeypatch: pytest.MonkeyPatch, network: VGGName, failure: Exception
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
    assert torch.equal(features.state_dict()["features.0.weight"], published["features.0.weight"])


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


def test_imagenet_weights_that_were_fetched_are_used_without_the_internet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weight = torch.rand(64, 3, 3, 3)
    state = {"features.0.weight": weight, "features.0.bias": torch.rand(64), "classifier.0.bias": torch.rand(9)}
    write_tensors("pretrained/vgg16.safetensors", state, {})
    features = VGGFeatures("vgg16", ["conv1_1"], "imagenet")
    assert torch.equal(features.get_parameter("features.0.weight"), weight)
