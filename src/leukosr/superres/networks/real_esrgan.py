"""Real-ESRGAN (Wang et al., ICCVW 2021): ESRGAN's RRDB generator and a U-Net discriminator.

Attribute names are those of the published weights, so that `RealESRGAN_x4plus` loads strictly.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from leukosr.superres.networks.contract import Generator

RESIDUAL_SCALE = 0.2  # ESRGAN, section 3.1: residuals are scaled down before they are added
INITIAL_SCALE = 0.1  # ESRGAN, section 3.1: "smaller initialization"


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each seeing all features before it, in a scaled residual."""

    def __init__(self, features: int, growth: int) -> None:
        """Build the block; weights start from He's normal distribution times 0.1, biases from zero."""
        super().__init__()
        self.conv1 = nn.Conv2d(features, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(features + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(features + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(features + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, padding=1)
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.dim() == 1:
                    parameter.zero_()
                else:
                    nn.init.kaiming_normal_(parameter).mul_(INITIAL_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        """N x features x H x W to the same shape."""
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat((seen, F.leaky_relu(conv(seen), 0.2)), dim=1)
        return x + RESIDUAL_SCALE * self.conv5(seen)


class RRDB(nn.Module):
    """Residual in residual dense block: three dense blocks inside one more scaled residual."""

    def __init__(self, features: int, growth: int) -> None:
        """Build the block; each dense block's convolutions add `growth` channels to `features`."""
        super().__init__()
        self.rdb1 = ResidualDenseBlock(features, growth)
        self.rdb2 = ResidualDenseBlock(features, growth)
        self.rdb3 = ResidualDenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        """N x features x H x W to the same shape."""
        return x + RESIDUAL_SCALE * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(Generator):
    """The Real-ESRGAN generator; 16,697,987 parameters with the defaults.

    It up-samples by 4, or by 8 for scale 8. For scale 2 it first folds 2 x 2 pixels into channels, as the
    published x2 network does; an odd height or width is then mirrored by one pixel and cropped again.
    """

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 23, growth: int = 32) -> None:
        """Build the network; `scale` is 2, 4 or 8."""
        super().__init__()
        self.scale = scale
        self.unshuffle = 2 if scale == 2 else 1
        self.conv_first = nn.Conv2d(3 * self.unshuffle**2, features, 3, padding=1)
        self.body = nn.Sequential(*(RRDB(features, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up2 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up3 = nn.Conv2d(features, features, 3, padding=1) if scale == 8 else None
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [0, 1] to N x 3 x scale*H x scale*W, not clipped to [0, 1]."""
        height, width = x.shape[-2:]
        if self.unshuffle > 1:
            padding = (0, -width % self.unshuffle, 0, -height % self.unshuffle)
            x = F.pixel_unshuffle(F.pad(x, padding, mode="reflect"), self.unshuffle)
        shallow = self.conv_first(x)
        features = shallow + self.conv_body(self.body(shallow))
        for conv in (self.conv_up1, self.conv_up2, self.conv_up3):
            if conv is not None:
                enlarged = F.interpolate(features, scale_factor=2, mode="nearest")
                features = F.leaky_relu(conv(enlarged), 0.2)
        image = self.conv_last(F.leaky_relu(self.conv_hr(features), 0.2))
        return image[..., : self.scale * height, : self.scale * width]

    @staticmethod
    def arguments_from(state: Mapping[str, Tensor]) -> dict[str, int] | None:
        """Constructor arguments that fit a state dict, or None when it is not this network's."""
        telling = {"conv_first.weight", "body.0.rdb1.conv1.weight", "conv_body.weight", "conv_hr.weight"}
        if not telling <= state.keys():
            return None
        # 12 and 48 input channels are RGB folded by 2 and by 4 (the published x2 and x1 networks).
        folded = {12: 2, 48: 1}.get(state["conv_first.weight"].shape[1], 4)
        return {
            "scale": 8 if "conv_up3.weight" in state else folded,
            "features": state["conv_first.weight"].shape[0],
            "blocks": sum(name.startswith("body.") and name.endswith(".rdb1.conv1.weight") for name in state),
            "growth": state["body.0.rdb1.conv1.weight"].shape[0],
        }


class UNetDiscriminatorSN(nn.Module):
    """U-Net with spectral norm, one verdict per pixel; 4,376,897 parameters with the default width."""

    def __init__(self, features: int = 64) -> None:
        """Build the network; `features` is the width of the first layer; all others are multiples of it."""
        super().__init__()

        def normed(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
            # The hook-based spectral norm, not the newer parametrisation: its state-dict names
            # (weight_orig, weight_u, weight_v) are those of the published discriminator weights.
            return spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=False))

        self.conv0 = nn.Conv2d(3, features, 3, padding=1)
        self.conv1 = normed(features, 2 * features, kernel=4, stride=2)
        self.conv2 = normed(2 * features, 4 * features, kernel=4, stride=2)
        self.conv3 = normed(4 * features, 8 * features, kernel=4, stride=2)
        self.conv4 = normed(8 * features, 4 * features)
        self.conv5 = normed(4 * features, 2 * features)
        self.conv6 = normed(2 * features, features)
        self.conv7 = normed(features, features)
        self.conv8 = normed(features, features)
        self.conv9 = nn.Conv2d(features, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [0, 1], at least 8 x 8, to N x 1 x H x W logits of being real."""
        x0 = F.leaky_relu(self.conv0(x), 0.2)
        x1 = F.leaky_relu(self.conv1(x0), 0.2)
        x2 = F.leaky_relu(self.conv2(x1), 0.2)
        y = F.leaky_relu(self.conv3(x2), 0.2)
        for conv, skip in ((self.conv4, x2), (self.conv5, x1), (self.conv6, x0)):
            # To the skip's size rather than by 2: the same for multiples of 8, and other sizes work too.
            y = _enlarged(y, skip.shape[-2], skip.shape[-1])
            y = F.leaky_relu(conv(y), 0.2) + skip
        y = F.leaky_relu(self.conv7(y), 0.2)
        y = F.leaky_relu(self.conv8(y), 0.2)
        return self.conv9(y)


def _enlarged(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear enlargement to height x width.

    On a GPU by matrix products: PyTorch's own is not deterministic there, and its deterministic stand-in made an
    iteration of fine-tuning take 5 s.
    """
    if x.is_cuda:
        return enlarged_by_products(x, height, width)
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


def enlarged_by_products(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear enlargement of N x C x h x w to height x width as two matrix products, on any device."""
    return _linear(x.shape[-2], height, x) @ x @ _linear(x.shape[-1], width, x).T


def _linear(before: int, after: int, like: Tensor) -> Tensor:
    """The after x before matrix that enlarges one dimension linearly."""
    identity = torch.eye(before, device=like.device).unsqueeze(0)
    return F.interpolate(identity, size=after, mode="linear", align_corners=False)[0].T.to(like.dtype)
