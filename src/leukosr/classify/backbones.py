"""Classification networks."""

from __future__ import annotations

import http.client
import pickle
from typing import Literal

import torch
from torch import Tensor
from torchvision.models import ResNet18_Weights, ResNet50_Weights, WeightsEnum
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from leukosr.errors import LeukoError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)


class _ImageNetResNet(ResNet):
    """A ResNet for images in [0, 1], normalised inside by ImageNet's mean and deviation."""

    def __init__(
        self, block: type[BasicBlock | Bottleneck], layers: list[int], num_classes: int, weights: WeightsEnum | None
    ) -> None:
        super().__init__(block, layers, num_classes=num_classes)
        if weights is not None:
            self._load(weights)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(IMAGENET_SD).view(1, 3, 1, 1), persistent=False)

    def _load(self, weights: WeightsEnum) -> None:
        try:
            state = weights.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError, EOFError, http.client.HTTPException, pickle.UnpicklingError) as error:
            raise LeukoError(
                f"the ImageNet weights of {type(self).__name__} could not be fetched ({error}): connect to the "
                "internet once, or set classify.weights to none"
            ) from error
        own_head = {name: value for name, value in self.state_dict().items() if name.startswith("fc.")}
        self.load_state_dict({**state, **own_head})

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images in [0, 1]."""
        return super().forward((x - self.mean) / self.sd)


class ResNet50(_ImageNetResNet):
    """torchvision's ResNet50 with a new linear head; adaptive average pooling takes any input size.

    The case studies' and the enhancement study's classifier. Input N x 3 x H x W RGB in [0, 1] (normalised
    inside by ImageNet's mean and deviation), output N x `num_classes` logits. `weights` imagenet takes
    torchvision's IMAGENET1K_V2 weights for everything but the head and raises LeukoError where they cannot
    be fetched; none starts from random weights of torch's global generator.
    """

    def __init__(self, num_classes: int, weights: Literal["none", "imagenet"] = "none") -> None:
        chosen = ResNet50_Weights.IMAGENET1K_V2 if weights == "imagenet" else None
        super().__init__(Bottleneck, [3, 4, 6, 3], num_classes, chosen)


class ResNet18(_ImageNetResNet):
    """torchvision's ResNet18 as `ResNet50` above, with IMAGENET1K_V1 weights: for budgets with many runs."""

    def __init__(self, num_classes: int, weights: Literal["none", "imagenet"] = "none") -> None:
        chosen = ResNet18_Weights.IMAGENET1K_V1 if weights == "imagenet" else None
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes, chosen)
