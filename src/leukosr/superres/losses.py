"""Training losses of SRGAN and Real-ESRGAN.

Every loss returns its weighted parts by name and their sum as "total", ready to be logged and to be
differentiated. Images are N x 3 x H x W RGB in [0, 1]. A part whose weight is 0 is neither computed nor
returned, so Real-ESRNet, the first stage of Real-ESRGAN, is RealESRGANGeneratorLoss(perceptual=0,
adversarial=0).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leukosr.superres.vgg import VGGFeatures, VGGWeights

REAL_ESRGAN_LAYERS = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}


class PerceptualDistance(nn.Module):
    """Weighted sum, over layers, of the mean absolute or squared distance of VGG features."""

    def __init__(
        self, features: VGGFeatures, layer_weights: Mapping[str, float], distance: Literal["l1", "l2"]
    ) -> None:
        """Measure with `features` at the layers that `layer_weights` names; "l2" is the squared distance."""
        super().__init__()
        self.features = features
        self.layer_weights = tuple(layer_weights.items())
        self.distance = F.l1_loss if distance == "l1" else F.mse_loss

    def forward(self, generated: Tensor, target: Tensor) -> Tensor:
        """Two N x 3 x H x W batches in [0, 1] to a scalar; no gradient flows into the target."""
        with torch.no_grad():
            goal = self.features(target)
        reached = self.features(generated)
        distances = [self.distance(reached[name], goal[name]) * weight for name, weight in self.layer_weights]
        return torch.stack(distances).sum()


class SRGANGeneratorLoss(nn.Module):
    """SRGAN's generator loss as the case studies trained it.

    image: mean squared error; adversarial: mean of 1 - D(G); perceptual: mean squared error of VGG16
    `features[:31]`; total_variation: see `total_variation`.
    """

    def __init__(
        self,
        image: float = 1.0,
        adversarial: float = 0.001,
        perceptual: float = 0.006,
        total_variation: float = 2e-8,
        *,
        vgg_weights: VGGWeights = "imagenet",
        normalise: bool = True,
        seed: int = 0,
    ) -> None:
        """Set the parts' weights; `vgg_weights`, `normalise` and `seed` are those of VGGFeatures."""
        super().__init__()
        self.image, self.adversarial, self.total_variation = image, adversarial, total_variation
        self.perceptual = perceptual
        if perceptual:
            features = VGGFeatures("vgg16", ["pool5"], vgg_weights, normalise=normalise, seed=seed)
            self.perceptual_distance = PerceptualDistance(features, {"pool5": 1.0}, "l2")

    def forward(self, generated: Tensor, target: Tensor, scores: Tensor | None = None) -> dict[str, Tensor]:
        """Weighted parts and total; `scores` are the discriminator's probabilities for `generated`."""
        parts = {}
        if self.image:
            parts["image"] = self.image * F.mse_loss(generated, target)
        if self.adversarial:
            parts["adversarial"] = self.adversarial * (1 - _given(scores)).mean()
        if self.perceptual:
            parts["perceptual"] = self.perceptual * self.perceptual_distance(generated, target)
        if self.total_variation:
            parts["total_variation"] = self.total_variation * total_variation(generated)
        return _with_total(parts)


class RealESRGANGeneratorLoss(nn.Module):
    """Real-ESRGAN's generator loss (section 4.1).

    image: mean absolute error; perceptual: L1 distance of VGG19 features before the ReLU; adversarial:
    binary cross-entropy of the discriminator's logits against "real".
    """

    def __init__(
        self,
        image: float = 1.0,
        perceptual: float = 1.0,
        adversarial: float = 0.1,
        *,
        layer_weights: Mapping[str, float] = REAL_ESRGAN_LAYERS,
        sharpen_targets: bool = True,
        vgg_weights: VGGWeights = "imagenet",
        normalise: bool = True,
        seed: int = 0,
    ) -> None:
        """Set the parts' weights, and within the perceptual part those of its layers.

        With `sharpen_targets`, as in training from scratch, image and perceptual part compare with the
        USM-sharpened target. `vgg_weights`, `normalise` and `seed` are those of VGGFeatures.
        """
        super().__init__()
        self.image, self.perceptual, self.adversarial = image, perceptual, adversarial
        self.sharpen_targets = sharpen_targets
        if perceptual:
            features = VGGFeatures("vgg19", layer_weights, vgg_weights, normalise=normalise, seed=seed)
            self.perceptual_distance = PerceptualDistance(features, layer_weights, "l1")

    def forward(self, generated: Tensor, target: Tensor, scores: Tensor | None = None) -> dict[str, Tensor]:
        """Weighted parts and total; `scores` are the discriminator's logits for `generated`."""
        if self.sharpen_targets:
            target = usm_sharpen(target)
        parts = {}
        if self.image:
            parts["image"] = self.image * F.l1_loss(generated, target)
        if self.perceptual:
            parts["perceptual"] = self.perceptual * self.perceptual_distance(generated, target)
        if self.adversarial:
            logits = _given(scores)
            parts["adversarial"] = self.adversarial * F.binary_cross_entropy_with_logits(
                logits, torch.ones_like(logits)
            )
        return _with_total(parts)


def srgan_discriminator_loss(real: Tensor, generated: Tensor) -> dict[str, Tensor]:
    """1 - D(HR) + D(G), from the mean probabilities of a batch of real and one of generated images."""
    return _with_total({"real": 1 - real.mean(), "generated": generated.mean()})


def real_esrgan_discriminator_loss(real: Tensor, generated: Tensor) -> dict[str, Tensor]:
    """Binary cross-entropy of the logits: real images against 1 plus generated ones against 0."""
    return _with_total(
        {
            "real": F.binary_cross_entropy_with_logits(real, torch.ones_like(real)),
            "generated": F.binary_cross_entropy_with_logits(generated, torch.zeros_like(generated)),
        }
    )


# Losses whose stages train a discriminator. The case studies' SRGAN script updates it before the generator, Real-ESRGAN
# after it.
DISCRIMINATOR_LOSSES = {
    "srgan": srgan_discriminator_loss,
    "real_esrgan": real_esrgan_discriminator_loss,
}
DISCRIMINATOR_FIRST = frozenset({"srgan"})


def total_variation(images: Tensor) -> Tensor:
    """Twice the sum of the mean squared differences of vertical and of horizontal neighbours; a scalar.

    The factor 2 is that of the SRGAN code the case studies used; their weight 2e-8 is meant with it.
    """
    vertical = images[..., 1:, :] - images[..., :-1, :]
    horizontal = images[..., :, 1:] - images[..., :, :-1]
    return 2 * (vertical.square().mean() + horizontal.square().mean())


@torch.no_grad()
def usm_sharpen(images: Tensor, weight: float = 0.5, radius: int = 50, threshold: float = 10.0) -> Tensor:
    """Unsharp masking of N x 3 x H x W images in [0, 1], as Real-ESRGAN sharpens its targets (section 3.4).

    `weight` times the residual to a Gaussian blur of `radius` pixels' width (made odd) is added where the
    residual exceeds `threshold` grey levels of 255; the edge of that mask is blurred the same way. Borders
    are mirrored, also where the image is smaller than the blur.
    """
    width = radius + 1 - radius % 2
    down, across = (_blur_matrix(side, width, images.device) for side in images.shape[-2:])
    # The mask is a comparison: reduced precision would move it from one side of the threshold to the other.
    with torch.autocast(images.device.type, enabled=False):
        exact = images.float()
        residual = exact - down @ exact @ across.T
        mask = down @ (residual.abs().mul_(255) > threshold).float() @ across.T
        sharp = residual.mul_(weight).add_(exact).clamp_(0, 1)
        return exact.lerp(sharp, mask).to(images.dtype)


def _gaussian_kernel(size: int) -> Tensor:
    """OpenCV's Gaussian of an odd size whose sigma is left to OpenCV (for sizes above 7)."""
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    kernel = torch.exp(-offsets.square() / (2 * sigma**2))
    return (kernel / kernel.sum()).float()


@lru_cache(maxsize=8)
def _blur_matrix(side: int, width: int, device: torch.device) -> Tensor:
    """The side x side matrix that blurs an axis with a Gaussian of `width` pixels, its ends mirrored.

    For training patches two products with such matrices are several times faster than two convolutions.
    """
    kernel = _gaussian_kernel(width)
    period = max(2 * (side - 1), 1)
    seen = (torch.arange(side)[:, None] + torch.arange(width) - width // 2) % period
    inside = torch.minimum(seen, period - seen)  # folded back into the axis, however often that takes
    return torch.zeros(side, side).scatter_add_(1, inside, kernel.expand(side, -1)).to(device)


def _given(scores: Tensor | None) -> Tensor:
    """The discriminator's scores, which a loss with an adversarial part cannot do without."""
    if scores is None:
        raise ValueError("the adversarial part needs the discriminator's scores of the generated images")
    return scores


def _with_total(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parts and, as "total", their sum."""
    return {**parts, "total": torch.stack(list(parts.values())).sum()}
