"""SRGAN (Ledig et al., CVPR 2017, figure 4) as the two case studies trained it: 5 residual blocks, not 16."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from leukosr.superres.networks.contract import Generator


class ResidualBlock(nn.Module):
    """conv3 - BN - PReLU - conv3 - BN around a skip connection."""

    def __init__(self, features: int) -> None:
        """Build a block that keeps its `features` channels."""
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(features)
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(features)

    def forward(self, x: Tensor) -> Tensor:
        """N x features x H x W to the same shape."""
        residual = self.prelu(self.bn1(self.conv1(x)))
        return x + self.bn2(self.conv2(residual))


class UpsamplingBlock(nn.Module):
    """conv3 to four times the features, pixel shuffle by 2, PReLU."""

    def __init__(self, features: int) -> None:
        """Build a block that keeps its `features` channels."""
        super().__init__()
        self.conv = nn.Conv2d(features, 4 * features, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.prelu = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """N x features x H x W to N x features x 2H x 2W."""
        return self.prelu(self.shuffle(self.conv(x)))


class SRGANGenerator(Generator):
    """The SRGAN generator; 734,219 parameters with the defaults."""

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 5, channels: int = 3) -> None:
        """Build the network with one up-sampling block per factor of two; `scale` is a power of two."""
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(channels, features, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        self.body_end = nn.Sequential(nn.Conv2d(features, features, 3, padding=1), nn.BatchNorm2d(features))
        doublings = scale.bit_length() - 1
        self.upsampling = nn.Sequential(*(UpsamplingBlock(features) for _ in range(doublings)))
        self.tail = nn.Conv2d(features, channels, 9, padding=4)

    def enlarge(self, x: Tensor) -> Tensor:
        """N x channels x H x W in [0, 1] to N x channels x scale*H x scale*W, unbounded."""
        shallow = self.head(x)
        deep = self.body_end(self.body(shallow))
        return self.tail(self.upsampling(shallow + deep))

    def forward(self, x: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [0, 1] to N x 3 x scale*H x scale*W in [0, 1]."""
        return (torch.tanh(self.enlarge(x)) + 1) / 2

    @staticmethod
    def arguments_from(state: Mapping[str, Tensor]) -> dict[str, int] | None:
        """Constructor arguments that fit a state dict, or None when it is not this network's."""
        if not {"head.0.weight", "body_end.1.running_mean", "tail.weight"} <= state.keys():
            return None
        if state["head.0.weight"].shape[1] != 3:
            return None
        doublings = sum(name.startswith("upsampling.") and name.endswith(".conv.weight") for name in state)
        return {
            "scale": 2**doublings,
            "features": state["head.0.weight"].shape[0],
            "blocks": sum(name.startswith("body.") and name.endswith(".conv1.weight") for name in state),
        }


class SRGANDiscriminator(nn.Module):
    """VGG-style discriminator of images of any size; 5,215,425 parameters with the defaults, 5,214,273 of luminance."""

    def __init__(self, features: int = 64, channels: int = 3, *, logits: bool = False) -> None:
        """Build the network; `features` is the width of the first layer; all others are multiples of it.

        logits: whether it gives logits in place of probabilities, for losses with a logarithm.
        """
        super().__init__()
        self.logits = logits
        layers: list[nn.Module] = [nn.Conv2d(channels, features, 3, padding=1), nn.LeakyReLU(0.2)]
        width = features
        for multiple, stride in ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)):
            layers += [
                nn.Conv2d(width, multiple * features, 3, stride=stride, padding=1),
                nn.BatchNorm2d(multiple * features),
                nn.LeakyReLU(0.2),
            ]
            width = multiple * features
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, 16 * features, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(16 * features, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x H x W in [0, 1] to the N x 1 probability of being a real image, or its logit."""
        scores: Tensor = self.classifier(self.features(x)).flatten(1)
        return scores if self.logits else torch.sigmoid(scores)
