"""The classifier that drives SR in SR4IR (Kim et al., CVPR 2024); it learns from SR, HR, and mixtures of both."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.settings import Architecture
from leukosr.errors import LeukoError

GRID = 4  # patches per side of a mixture


class TaskClassifier(nn.Module):
    """A classifier whose last feature map SR is to restore; `drawn` counts mixtures, also across a resume."""

    drawn: Tensor

    def __init__(self, architecture: Architecture, classes: int, weights: str) -> None:
        """Build it; `weights` none, or pretrained/NAME. Raises LeukoError for a backbone that is not one of timm's."""
        super().__init__()
        self.classifier = ClassifierNetwork(architecture, classes, weights)
        if not hasattr(self.classifier.network, "forward_features"):
            raise LeukoError(f"{architecture.backbone} shows no feature map: use efficientnet_lite0 or timm/NAME")
        self.register_buffer("drawn", torch.zeros((), dtype=torch.long))

    def features(self, images: Tensor) -> Tensor:
        """The last feature map of N x 3 x H x W images in [0, 1]."""
        network: Any = self.classifier.network
        found: Tensor = network.forward_features((images - self.classifier.mean) / self.classifier.sd)
        return found

    def forward(self, real: Tensor, generated: Tensor) -> Tensor:
        """Logits of the generated images, of the real ones, and of their mixtures: 3N x classes."""
        shape = (len(real), 1, GRID, GRID)
        choice = torch.randint(2, shape, generator=torch.Generator().manual_seed(int(self.drawn)))
        self.drawn += 1
        mask = F.interpolate(choice.to(real), size=real.shape[-2:], mode="nearest")
        mixed = torch.lerp(generated, real, mask)
        logits: Tensor = self.classifier(torch.cat((generated, real, mixed)))
        return logits
