"""What a registered network is: how it is built, what it takes, and its published size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from leukosr.errors import LeukoError


@dataclass(frozen=True)
class Contract:
    """What a generator takes and gives; `superres/edge.py` keeps it.

    channels: RGB, or the luminance alone (its chroma is then enlarged by bicubic). enlarged: the input has been
    enlarged by bicubic to the size of the output. masks: the number of classes of the map that comes with each image,
    at the size of the output; 0: none. size: the one (height, width) of an LR image that it takes. multiple_of: what
    both sides of an LR image must be divisible by. grid: tiles of an LR image start at multiples of it, as the network
    folds or pools so many pixels together.
    """

    scales: tuple[int, ...]
    channels: Literal["rgb", "luminance"] = "rgb"
    enlarged: bool = False
    masks: int = 0
    size: tuple[int, int] | None = None
    multiple_of: int = 1
    grid: int = 2  # that of real_esrgan at x2, and of every network that needs none


def of_channels(general: Contract, channels: int) -> Contract:
    """A contract for images of 1 channel, luminance, or of 3, RGB."""
    return replace(general, channels="luminance" if channels == 1 else "rgb")


def enlarged(images: Tensor, scale: int) -> Tensor:
    """N x C x h x w to N x C x scale*h x scale*w by `pillow_bicubic` (a = -0.5, as in MATLAB's imresize), unclipped."""
    return F.interpolate(images, scale_factor=scale, mode="bicubic", align_corners=False, antialias=True)


class Generator(nn.Module):
    """A network that enlarges images by `scale`, N x C x h x w in [0, 1]; the registry gives it its contract.

    Its `forward` takes the images and, where the contract says so, the maps.
    """

    scale: int = 4
    contract: Contract = Contract((4,))
    prefers_whole_images: bool = False  # whether its authors advise against tiles

    def contract_within(self, general: Contract) -> Contract:
        """The contract of this network: that of the registry, unless its arguments change what it takes."""
        return general

    @staticmethod
    def arguments_from(state: Mapping[str, Tensor]) -> dict[str, int] | None:
        """Arguments that fit a state dict; None where it is another network's, or only a header can tell."""
        return None


@dataclass(frozen=True)
class Network:
    """An architecture. parameters: of the published network, which is the default; tiny: arguments of a small one."""

    build: Callable[..., nn.Module]
    parameters: int
    tiny: Mapping[str, int]

    def __call__(self, **arguments: int) -> nn.Module:
        """The published network, or that of other arguments."""
        return self.build(**arguments)


@dataclass(frozen=True)
class GeneratorNetwork:
    """An architecture of a generator; as `Network`, with what it takes."""

    build: type[Generator]
    parameters: int
    tiny: Mapping[str, int]
    contract: Contract

    def __call__(self, scale: int = 4, **arguments: int) -> Generator:
        """The network of a scale. Raises LeukoError for a scale that its contract does not claim."""
        if scale not in self.contract.scales:
            allowed = ", ".join(map(str, self.contract.scales))
            raise LeukoError(f"scale {scale} was asked for, but {self.build.__name__} enlarges by one of {allowed}")
        model = self.build(scale=scale, **arguments)
        model.scale, model.contract = scale, model.contract_within(self.contract)
        return model

    def arguments_from(self, state: Mapping[str, Tensor]) -> dict[str, int] | None:
        """The arguments, with the scale, of the network whose state dict it is; None if it is another network's."""
        return self.build.arguments_from(state)
