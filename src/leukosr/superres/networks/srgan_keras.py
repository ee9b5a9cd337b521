"""SRGAN as Ferdousi et al. 2024 (001) built it in Keras: table 1 of the paper, completed by its public notebook."""

from __future__ import annotations

from torch import Tensor, nn

from leukosr.errors import LeukoError
from leukosr.superres.networks.contract import Generator

EPSILON = 1e-3  # of batch norm, Keras' default


def start_as_keras(model: nn.Module) -> None:
    """Glorot uniform weights and zero biases, Keras' defaults, from torch's global generator (in place)."""
    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def _prelu(channels: int) -> nn.PReLU:
    """A slope per channel, shared over the image; 0 at the start."""
    return nn.PReLU(channels, init=0.0)


class ResidualBlock(nn.Module):
    """conv3 - BN - PReLU - conv3 - BN around a skip connection; Keras' momentum of 0.5 is torch's 0.5."""

    def __init__(self, features: int) -> None:
        """Build a block that keeps its `features` channels."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1),
            nn.BatchNorm2d(features, EPSILON, momentum=0.5),
            _prelu(features),
            nn.Conv2d(features, features, 3, padding=1),
            nn.BatchNorm2d(features, EPSILON, momentum=0.5),
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x features x H x W to the same shape."""
        return x + self.layers(x)


class SRGANKerasGenerator(Generator):
    """2,040,067 parameters with the defaults and 4,224 running statistics: the 2,044,291 that the paper prints.

    The printed total has the convolution, batch norm and skip after the blocks, which its table leaves out.
    """

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 16) -> None:
        """Build the network; the convolutions before each doubling have four times the `features`."""
        super().__init__()
        wide, doublings = 4 * features, scale.bit_length() - 1
        self.first = nn.Sequential(nn.Conv2d(3, features, 9, padding=4), _prelu(features))
        self.blocks = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        self.after_blocks = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1), nn.BatchNorm2d(features, EPSILON, momentum=0.5)
        )
        doubled: list[nn.Module] = []
        for number in range(doublings):
            before = features if number == 0 else wide
            doubled += [nn.Conv2d(before, wide, 3, padding=1), nn.Upsample(scale_factor=2), _prelu(wide)]
        self.doubled = nn.Sequential(*doubled)
        self.last = nn.Conv2d(wide, 3, 9, padding=4)
        start_as_keras(self)

    def forward(self, x: Tensor) -> Tensor:
        """N x 3 x h x w RGB in [0, 1] to N x 3 x scale*h x scale*w, linear: only saved images are clipped."""
        shallow = self.first(x)
        return self.last(self.doubled(shallow + self.after_blocks(self.blocks(shallow))))


class SRGANKerasDiscriminator(nn.Module):
    """38,245,569 parameters with the defaults and 3,712 running statistics; Keras' momentum of 0.8 is torch's 0.2."""

    def __init__(self, features: int = 64, side: int = 128) -> None:
        """Build the network for square images of `side` pixels, a multiple of 16; `features`: of the first layer."""
        super().__init__()
        if side % 16:
            raise LeukoError(
                f"the discriminator of srgan_keras halves its images four times: {side} is not a multiple of 16"
            )
        self.side, width = side, features
        layers: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), nn.LeakyReLU(0.2)]
        for multiple, stride in ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)):
            # Keras pads "same" by one pixel in all where it strides by two, at the bottom and the right
            padded = [nn.ZeroPad2d((0, 1, 0, 1))] if stride == 2 else []
            layers += [
                *padded,
                nn.Conv2d(width, multiple * features, 3, stride, padding=0 if padded else 1),
                nn.BatchNorm2d(multiple * features, EPSILON, momentum=0.2),
                nn.LeakyReLU(0.2),
            ]
            width = multiple * features
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(width * (side // 16) ** 2, 16 * features),
            nn.LeakyReLU(0.2),
            nn.Linear(16 * features, 1),
        )
        start_as_keras(self)

    def forward(self, x: Tensor) -> Tensor:
        """N x 3 x side x side RGB to the N x 1 logit of being a real image. Raises LeukoError for another size."""
        if x.shape[-2:] != (self.side, self.side):
            height, width = x.shape[-2:]
            raise LeukoError(
                f"the discriminator of srgan_keras takes images of {self.side}x{self.side} pixels, not of "
                f"{height}x{width}: set patch and discriminator.side of the training to one size that the images have"
            )
        logits: Tensor = self.head(self.features(x))
        return logits
