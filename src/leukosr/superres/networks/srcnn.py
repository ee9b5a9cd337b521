"""SRCNN 9-5-5 (Dong et al., TPAMI 2016, sections 3.1 and 4.3) on luminance that has been enlarged.

Attribute names, zero padding and initialisation are those of the public `yjn870/SRCNN-pytorch`, so its weights load.
"""

from torch import Tensor, nn

from leukosr.superres.networks.contract import Generator


class SRCNN(Generator):
    """57,281 parameters with the defaults."""

    def __init__(self, scale: int = 4, features: int = 64) -> None:
        """Build the network, the same for every `scale`; the second layer has half the `features` of the first."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, features, 9, padding=4)
        self.conv2 = nn.Conv2d(features, features // 2, 5, padding=2)
        self.conv3 = nn.Conv2d(features // 2, 1, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """N x 1 x H x W enlarged luminance in [0, 1] to the same shape."""
        return self.conv3(self.conv2(self.conv1(x).relu()).relu())
