"""Several classifiers that answer as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Ensemble(nn.Module):
    """The mean of its members' class probabilities (Lakshminarayanan et al. 2017, arXiv 1612.01474, section 2.4).

    Maps N x 3 x H x W images in [0, 1] to float32 N x classes: logarithms of the mean probabilities, which a softmax
    turns into these, as it does with the outputs of a single classifier.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """The answer of all members."""
        said = torch.stack([F.log_softmax(member(images).float(), 1) for member in self.members])
        return torch.logsumexp(said, 0) - math.log(len(self.members))


def together(members: Sequence[nn.Module]) -> nn.Module:
    """One network of the members; a single one is itself."""
    return members[0] if len(members) == 1 else Ensemble(members)
