"""What the objectives of several methods are made of. Images are N x 3 x H x W RGB, or N x 1 x H x W, in [0, 1]."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from leukosr.superres.vgg import VGGFeatures, VGGName, VGGWeights


def perceptual_distance(
    network: VGGName,
    layer_weights: Mapping[str, float],
    distance: Callable[[Tensor, Tensor], Tensor],
    weights: VGGWeights,
    seed: int,
    device: torch.device,
    *,
    normalise: bool = True,
) -> Callable[[Tensor, Tensor], Tensor]:
    """A function of generated images and their target: the weighted sum, over layers, of the distance of VGG features.

    `weights`, `seed` and `normalise` are those of VGGFeatures. No gradient flows into the target. Luminance enters as
    grey RGB.
    """
    features = VGGFeatures(network, layer_weights, weights, normalise=normalise, seed=seed).to(device)

    def measure(generated: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            goal = features(target.expand(-1, 3, -1, -1))
        reached = features(generated.expand(-1, 3, -1, -1))
        return torch.stack([distance(reached[name], goal[name]) * by for name, by in layer_weights.items()]).sum()

    return measure


def cross_entropy(scores: Tensor, *, real: bool) -> Tensor:
    """The mean cross-entropy of a discriminator's logits with "real" (1), or with "generated" (0); a scalar."""
    return binary_cross_entropy_with_logits(scores, torch.full_like(scores, float(real)))


def charbonnier(generated: Tensor, target: Tensor, epsilon: float) -> Tensor:
    """The mean of sqrt(error^2 + epsilon^2), a differentiable L1 (Lai et al., CVPR 2017, section 3.2); a scalar."""
    return ((generated - target).square() + epsilon**2).sqrt().mean()


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
