"""Networks of other architectures, which spandrel tells by their tensors: SwinIR, HAT, DAT, SPAN, Compact, …"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from leukosr.errors import LeukoError
from leukosr.superres.networks import Contract, Generator


class ForeignNetwork(Generator):
    """A network of another architecture behind our contract; it can be used, not trained.

    Sizes that it cannot take are padded (mirrored) and cropped again, its output is clipped to [0, 1].
    """

    def __init__(self, descriptor: Any) -> None:
        """Take what spandrel has loaded, its `ImageModelDescriptor`."""
        super().__init__()
        self.network = descriptor.model.requires_grad_(False)
        self.describe = descriptor
        self.scale = descriptor.scale
        channels = {1: "luminance", 3: "rgb"}[descriptor.input_channels]
        self.contract = Contract((descriptor.scale,), channels=channels)  # type: ignore[arg-type]
        self.prefers_whole_images = descriptor.tiling.name != "SUPPORTED"

    @property
    def architecture(self) -> str:
        """As spandrel calls it."""
        return str(self.describe.architecture.id)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x h x w in [0, 1] to N x C x scale*h x scale*w, C by the contract."""
        return self.describe(x).clone()  # no gradient passes what spandrel computes in inference mode


def is_foreign(state: Mapping[str, Tensor]) -> bool:
    """Whether spandrel knows the network of a state dict by the names and shapes of its tensors."""
    from spandrel import MAIN_REGISTRY

    return any(each.detect(dict(state)) for each in MAIN_REGISTRY.architectures())


def read_foreign(state: Mapping[str, Tensor], path: object) -> ForeignNetwork | None:
    """The network whose state dict this is, in evaluation mode; None where spandrel knows none.

    Raises LeukoError for one that it knows and cannot build from these tensors, and for networks that need a mask or
    other images than RGB and luminance. The global random state is left as it was.
    """
    from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old calls and empty tensors in the networks' own code
        try:
            descriptor = ModelLoader("cpu").load_from_state_dict(dict(state))
        except UnsupportedModelError:
            return None
        except MemoryError:
            raise
        except Exception as error:  # damaged tensors make the networks fail with nearly any type of error
            first = str(error).strip().partition("\n")[0][:200]
            raise LeukoError(
                f"{path} looks like a network that spandrel knows, but cannot be built ({first}): it is damaged"
            ) from error
    name, taken = descriptor.architecture.name, (descriptor.input_channels, descriptor.output_channels)
    if not isinstance(descriptor, ImageModelDescriptor):
        raise LeukoError(f"{path} holds a network for inpainting ({name}), which needs masks: choose one that enlarges")
    if taken not in ((3, 3), (1, 1)):
        raise LeukoError(
            f"{path} holds {name} from {taken[0]} to {taken[1]} channels: only RGB (3) and luminance (1) are served"
        )
    return ForeignNetwork(descriptor.eval())
