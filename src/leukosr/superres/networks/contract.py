"""What a registered network is: how it is built, what it takes, and its published size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from leukosr.errors import LeukoError


@dataclass(frozen=True)
class Contract:
    """What a generator takes and gives; `superres/edge.py` keeps it.

    channels: RGB, or the luminance alone (its chroma is then enlarged by bicubic). enlarged: the input has been
    enlarged by bicubic to the size of the output. masks: a mask comes with each image. size: the one (height, width) of
    an LR image that it takes. multiple_of: what both sides of an LR image must be divisible by.
    """

    scales: tuple[int, ...]
    channels: Literal["rgb", "luminance"] = "rgb"
    enlarged: bool = False
    masks: bool = False
    size: tuple[int, int] | None = None
    multiple_of: int = 1


class Generator(nn.Module):
    """A network that enlarges images by `scale`, N x C x h x w in [0, 1]; the registry gives it its contract."""

    scale: int = 4
    contract: Contract = Contract((4,))
    prefers_whole_images: bool = False  # whether its authors advise against tiles

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
        model.scale, model.contract = scale, self.contract
        return model

    def arguments_from(self, state: Mapping[str, Tensor]) -> dict[str, int] | None:
        """The arguments, with the scale, of the network whose state dict it is; None for another one's."""
        return self.build.arguments_from(state)
