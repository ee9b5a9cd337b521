"""A control for Real-ESRGAN: its generator's layers restore the image at LR size and add no pixel; then bicubic."""

import torch.nn.functional as F
from torch import Tensor

from leukosr.superres.networks.contract import Generator, enlarged
from leukosr.superres.networks.real_esrgan import RRDBNet


class Denoiser(Generator):
    """The layers of RRDBNet of the same arguments, at x4 or x8: 16,697,987 parameters with the defaults, as it has."""

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 23, growth: int = 32) -> None:
        """Build the network; RRDBNet at x2 folds pixels into channels, which would be another resolution."""
        super().__init__()
        self.scale = scale
        self.layers = RRDBNet(max(scale, 4), features, blocks, growth)

    def forward(self, x: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [0, 1] to N x 3 x scale*H x scale*W: the restored image, enlarged by bicubic."""
        net = self.layers
        shallow = net.conv_first(x)
        features = shallow + net.conv_body(net.body(shallow))
        for conv in (net.conv_up1, net.conv_up2, net.conv_up3):
            if conv is not None:
                features = F.leaky_relu(conv(features), 0.2)
        image = net.conv_last(F.leaky_relu(net.conv_hr(features), 0.2))
        return enlarged(image.float(), self.scale)  # PyTorch has no bfloat16 for an antialiased bicubic
