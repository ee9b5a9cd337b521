"""Networks around a map of nucleus, cytoplasm and rest, its three channels: the "geometry prior" of a paper on cells.

The paper's figure is only partly legible and its code is not public. Read here as follows, and pinned in a test: the
concatenated features are fused by a conv3 with LeakyReLU to `features` channels before the decoder's blocks; in a block
LeakyReLU follows both convolutions, before the skip; nothing is added to the output (`residual` 1 adds the enlarged
input); each channel of the map is a probability of its own, by a sigmoid.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leukosr.superres.networks.contract import Contract, Generator, enlarged
from leukosr.superres.networks.sftgan import SFTGAN

CLASSES = 3  # nucleus, cytoplasm, rest
SLOPE = 0.2
LEVELS = 5  # of the U-Net, the figure's


class ConvLReLU(nn.Sequential):
    """conv3 - LeakyReLU."""

    def __init__(self, before: int, after: int) -> None:
        """Build a layer from `before` to `after` channels."""
        super().__init__(nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(SLOPE))


class Block(nn.Module):
    """Twice conv3 - LeakyReLU around a skip connection, without batch norm."""

    def __init__(self, features: int) -> None:
        """Build a block that keeps its `features` channels."""
        super().__init__()
        self.layers = nn.Sequential(ConvLReLU(features, features), ConvLReLU(features, features))

    def forward(self, x: Tensor) -> Tensor:
        """N x features x H x W to the same shape."""
        return x + self.layers(x)


class PriorSR(Generator):
    """Encoder and decoder of enlarged luminance; 517,633 parameters with the defaults, the paper's `none prior`."""

    guided = False

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 3, residual: Literal[0, 1] = 0) -> None:
        """Build the network, the same for every `scale`; `blocks` in each encoder and in the decoder."""
        super().__init__()
        self.residual = residual
        self.shallow = ConvLReLU(1, features)
        self.deep = _blocks(features, blocks)
        if self.guided:
            self.map_encoder = nn.Sequential(ConvLReLU(CLASSES, features), *_blocks(features, blocks))
        encoders = 3 if self.guided else 2
        self.fuse = ConvLReLU(encoders * features, features)
        self.decoder = nn.Sequential(*_blocks(features, blocks), nn.Conv2d(features, 1, 1))

    def forward(self, x: Tensor, *maps: Tensor) -> Tensor:
        """N x 1 x H x W enlarged luminance in [0, 1] to the same shape."""
        shallow = self.shallow(x)
        seen = [shallow, self.deep(shallow), *(self.map_encoder(each) for each in maps)]
        made = self.decoder(self.fuse(torch.cat(seen, dim=1)))
        return x + made if self.residual else made


class OraclePrior(PriorSR):
    """The same guided by a map that comes with the image, N x 3 x H x W; 777,857 parameters with the defaults.

    It is the SR part of `GeometryPrior`: with a given map the network that predicts one would have no effect.
    """

    guided = True


class GeometryPrior(Generator):
    """U-Net and `OraclePrior` in one; 8,537,444 parameters with the defaults."""

    def __init__(
        self,
        scale: int = 4,
        features: int = 64,
        blocks: int = 3,
        residual: Literal[0, 1] = 0,
        prior_features: int = 32,
    ) -> None:
        """Build the network, the same for every `scale`; `prior_features` is the width of the U-Net's first layer."""
        super().__init__()
        self.scale = scale
        self.prior = UNet(prior_features)
        self.sr = OraclePrior(scale, features, blocks, residual)

    def contract_within(self, general: Contract) -> Contract:
        """On the grid of its U-Net."""
        return _on_grid(general, self.scale)

    def predicted_maps(self, x: Tensor) -> Tensor:
        """Probabilities of nucleus, cytoplasm and rest, N x 3 x H x W, from N x 1 x H x W enlarged luminance."""
        return self.prior(x).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """N x 1 x H x W enlarged luminance in [0, 1] to the same shape; in training followed by the logits of the map.

        Those three channels are what the loss of the map needs.
        """
        logits = self.prior(x)
        made = self.sr(x, logits.sigmoid())
        return torch.cat((made, logits), dim=1) if self.training else made


class SFTGANPrior(Generator):
    """SFTGAN on luminance whose map the U-Net of `GeometryPrior` predicts; 1,821,217 + 7,759,587 parameters."""

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 16, prior_features: int = 32) -> None:
        """Build the network; the method that trains it takes the U-Net from a trained one."""
        super().__init__()
        self.scale = scale
        self.prior = UNet(prior_features)
        self.sr = SFTGAN(scale, features, blocks, channels=1, conditions=CLASSES)

    def contract_within(self, general: Contract) -> Contract:
        """On the grid of its U-Net."""
        return _on_grid(general, self.scale)

    def forward(self, x: Tensor) -> Tensor:
        """N x 1 x h x w luminance in [0, 1] to N x 1 x scale*h x scale*w."""
        return self.sr(x, self.prior(enlarged(x, self.scale)).sigmoid())


class UNet(nn.Module):
    """U-Net (Ronneberger et al., MICCAI 2015, figure 1) of half its width; 7,759,587 parameters with the default.

    Its convolutions are padded with zeros, so the size stays.
    """

    def __init__(self, features: int = 32, levels: int = LEVELS) -> None:
        """Build the network; widths double from `features` on with each of the `levels`."""
        super().__init__()
        widths = [features * 2**level for level in range(levels)]
        self.down = nn.ModuleList(_twice(*pair) for pair in zip([1, *widths], widths, strict=False))
        wide = widths[::-1]
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(wider, width, 2, stride=2) for wider, width in pairwise(wide))
        self.up = nn.ModuleList(_twice(2 * width, width) for width in wide[1:])
        self.out = nn.Conv2d(features, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """N x 1 x H x W to the logits of a map, N x 3 x H x W; sides are padded to what the levels divide."""
        height, width = x.shape[-2:]
        step = 2 ** len(self.up)
        x = F.pad(x, (0, -width % step, 0, -height % step))
        passed: list[Tensor] = []
        for level in self.down:
            x = level(F.max_pool2d(x, 2) if passed else x)
            passed.append(x)
        passed.pop()
        for enlarge, level in zip(self.enlarge, self.up, strict=True):
            x = level(torch.cat((passed.pop(), enlarge(x)), dim=1))
        return self.out(x)[..., :height, :width]


def _on_grid(general: Contract, scale: int) -> Contract:
    """The contract of a network whose U-Net pools squares of enlarged pixels; `scale` is a power of two, at most 8."""
    return replace(general, grid=2 ** (LEVELS - 1) // scale)


def _twice(before: int, after: int) -> nn.Sequential:
    first, second = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


def _blocks(features: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(features) for _ in range(count)))
