"""SRResNet (Ledig et al., CVPR 2017, figure 4) with one PReLU slope per layer: 16 blocks and a linear output.

`srgan.py` beside it is the same network as two case studies built it: 5 blocks, RGB, its output squeezed by a tanh.
"""

from torch import Tensor

from leukosr.superres.networks.contract import Contract, Generator, of_channels
from leukosr.superres.networks.srgan import SRGANGenerator


class SRResNet(SRGANGenerator):
    """1,528,724 parameters with the defaults and 1,676,437 at x8; of RGB at x4 1,549,462."""

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 16, channels: int = 1) -> None:
        """Build the network; `channels` is 1 for luminance or 3 for RGB."""
        super().__init__(scale, features, blocks, channels)

    def contract_within(self, general: Contract) -> Contract:
        """For the colours that this one takes."""
        return of_channels(general, self.tail.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x H x W in [0, 1] to N x channels x scale*H x scale*W, unbounded."""
        return self.enlarge(x)

    # an RGB one has the tensors of `srgan`, so only a header can tell
    arguments_from = staticmethod(Generator.arguments_from)
