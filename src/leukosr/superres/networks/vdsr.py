"""VDSR (Kim et al., CVPR 2016, section 3.1): 20 convolutions give what is added to the enlarged luminance.

Attribute names, initialisation and the lack of biases are those of the public `twtygqyy/pytorch-vdsr`, so its state
dicts load.
"""

from torch import Tensor, nn

from leukosr.superres.networks.contract import Generator


class ConvReLU(nn.Module):
    """conv3 - ReLU."""

    def __init__(self, features: int) -> None:
        """Build a layer that keeps its `features` channels."""
        super().__init__()
        self.conv = nn.Conv2d(features, features, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """N x features x H x W to the same shape."""
        return self.conv(x).relu()


class VDSR(Generator):
    """664,704 parameters with the defaults."""

    def __init__(self, scale: int = 4, features: int = 64, convolutions: int = 18) -> None:
        """Build the network, the same for every `scale`; `convolutions` counts those between the first and the last."""
        super().__init__()
        self.input = nn.Conv2d(1, features, 3, padding=1, bias=False)
        self.residual_layer = nn.Sequential(*(ConvReLU(features) for _ in range(convolutions)))
        self.output = nn.Conv2d(features, 1, 3, padding=1, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, (2 / (9 * module.out_channels)) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """N x 1 x H x W enlarged luminance in [0, 1] to the same shape."""
        return x + self.output(self.residual_layer(self.input(x).relu()))
