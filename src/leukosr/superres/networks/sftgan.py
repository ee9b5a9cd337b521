"""SFTGAN's generator (Wang et al., CVPR 2018, figure 3): a map of classes scales and shifts the features.

Attribute names are those of the public `xinntao/SFTGAN`, so its weights load. There a map has 8 classes of outdoor
scenes; here it has those of a cell. A paper on white blood cells that compares itself with SFTGAN states no map: see
`prior.py` for the variant whose map a trained network predicts.
"""

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from leukosr.superres.networks.contract import Contract, Generator, of_channels


class SFTLayer(nn.Module):
    """x * (scale + 1) + shift, both from the condition by two 1x1 convolutions each."""

    def __init__(self, features: int, conditions: int) -> None:
        """Build a layer for `features` channels from `conditions` channels."""
        super().__init__()
        self.SFT_scale_conv0 = nn.Conv2d(conditions, conditions, 1)
        self.SFT_scale_conv1 = nn.Conv2d(conditions, features, 1)
        self.SFT_shift_conv0 = nn.Conv2d(conditions, conditions, 1)
        self.SFT_shift_conv1 = nn.Conv2d(conditions, features, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """N x features x h x w to the same shape."""
        scale = self.SFT_scale_conv1(F.leaky_relu(self.SFT_scale_conv0(condition), 0.1))
        shift = self.SFT_shift_conv1(F.leaky_relu(self.SFT_shift_conv0(condition), 0.1))
        return x * (scale + 1) + shift


class SFTBlock(nn.Module):
    """SFT - conv3 - ReLU - SFT - conv3 around a skip connection."""

    def __init__(self, features: int, conditions: int) -> None:
        """Build a block that keeps its `features` channels."""
        super().__init__()
        self.sft0 = SFTLayer(features, conditions)
        self.conv0 = nn.Conv2d(features, features, 3, padding=1)
        self.sft1 = SFTLayer(features, conditions)
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """N x features x h x w to the same shape."""
        residual = self.conv0(self.sft0(x, condition)).relu()
        return x + self.conv1(self.sft1(residual, condition))


class SFTGAN(Generator):
    """1,833,763 parameters with the defaults (RGB, 8 classes), 1,823,523 with 3, 1,821,217 of luminance with 3."""

    def __init__(
        self, scale: int = 4, features: int = 64, blocks: int = 16, channels: int = 3, conditions: int = 8
    ) -> None:
        """Build the network; `channels` is 3 for RGB or 1 for luminance, `conditions` counts the classes of the map.

        `scale` is a power of two; the map comes at the size of the output, so the first layer of `CondNet` takes
        squares of scale x scale pixels (published: 4x4 at x4).
        """
        super().__init__()
        self.conditions = conditions
        self.conv0 = nn.Conv2d(channels, features, 3, padding=1)
        self.sft_branch = nn.ModuleList(
            [
                *(SFTBlock(features, features // 2) for _ in range(blocks)),
                SFTLayer(features, features // 2),
                nn.Conv2d(features, features, 3, padding=1),
            ]
        )
        up = [layer for _ in range(scale.bit_length() - 1) for layer in up_block(features)]
        self.HR_branch = nn.Sequential(
            *up,
            nn.Conv2d(features, features, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(features, channels, 3, padding=1),
        )
        width = 2 * features
        middle = [layer for _ in range(3) for layer in (nn.Conv2d(width, width, 1), nn.LeakyReLU(0.1))]
        self.CondNet = nn.Sequential(
            nn.Conv2d(conditions, width, scale, stride=scale),
            nn.LeakyReLU(0.1),
            *middle,
            nn.Conv2d(width, features // 2, 1),
        )

    def contract_within(self, general: Contract) -> Contract:
        """For the colours and classes that this one takes."""
        return replace(of_channels(general, self.conv0.in_channels), masks=self.conditions)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        """N x channels x h x w in [0, 1] and N x conditions x scale*h x scale*w in [0, 1] to an image of that size."""
        condition, shallow = self.CondNet(maps), self.conv0(x)
        deep = shallow
        *transforms, last = self.sft_branch
        for transform in transforms:
            deep = transform(deep, condition)
        return self.HR_branch(shallow + last(deep))


def up_block(features: int) -> tuple[nn.Module, ...]:
    """conv3 to four times the features, pixel shuffle by 2, ReLU."""
    return nn.Conv2d(features, 4 * features, 3, padding=1), nn.PixelShuffle(2), nn.ReLU()
