"""Real-ESRGAN's small network (`SRVGGNetCompact` of its repository): a plain stack of convolutions at LR size.

Attribute names are those of the published weights, so that `realesr-animevideov3` loads strictly.
"""

from collections.abc import Mapping
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leukosr.superres.networks.contract import Generator


class Compact(Generator):
    """621,424 parameters with the defaults, which are those of `realesr-animevideov3`."""

    def __init__(self, scale: int = 4, features: int = 64, convolutions: int = 16) -> None:
        """Build the network; `convolutions` counts those between the first and the last."""
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        self.body = nn.Sequential(*layers, nn.Conv2d(features, 3 * scale**2, 3, padding=1))
        self._initialise()

    def _initialise(self) -> None:
        """He et al. (ICCV 2015) for PReLUs that begin at 0.25, the last layer a tenth of it, so that little is added.

        torch's own start makes a signal fade to nothing within 17 such layers: 2,000 iterations then learnt nothing.
        """
        *_, last = convolutions = [part for part in self.body if isinstance(part, nn.Conv2d)]
        for part in convolutions:
            nn.init.kaiming_normal_(part.weight, a=0.25)
            assert part.bias is not None
            nn.init.zeros_(part.bias)
        with torch.no_grad():
            last.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [0, 1] to N x 3 x scale*H x scale*W: what is added to the nearest neighbours."""
        residual = F.pixel_shuffle(self.body(x), self.scale)
        return residual + F.interpolate(x, scale_factor=self.scale, mode="nearest")

    @staticmethod
    def arguments_from(state: Mapping[str, Tensor]) -> dict[str, int] | None:
        """Constructor arguments that fit a state dict, or None when it is not this network's."""
        layers = {name.split(".")[1] for name in state if name.startswith("body.")}
        last = f"body.{len(layers) - 1}.weight"  # convolutions and PReLUs in turns, beginning and ending with one
        if len(layers) % 2 == 0 or not {"body.0.weight", "body.1.weight", "body.0.bias", last} <= state.keys():
            return None
        if state["body.1.weight"].dim() != 1 or state[last].dim() != 4:
            return None
        return {
            "scale": isqrt(state[last].shape[0] // 3),
            "features": state["body.0.weight"].shape[0],
            "convolutions": (len(layers) - 3) // 2,
        }
