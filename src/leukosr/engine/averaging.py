"""Moving averages of a network's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def average_of(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of the network that follows its weights and buffers, an exponential moving average of decay `decay`."""
    return AveragedModel(network, multi_avg_fn=_warmed_up(decay), use_buffers=True)


def _warmed_up(decay: float) -> Callable[[Any, Any, Any], None]:
    """An exponential moving average whose decay grows towards `decay`: (1 + n) / (10 + n) after n updates.

    Without it a short training would mostly keep its random start; after some ten thousand iterations it is
    the published constant decay.
    """

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Any) -> None:
        number = float(count)
        weight = 1 - min(decay, (1 + number) / (10 + number))
        for mean, new in zip(averaged, current, strict=True):
            mean.lerp_(new.detach().to(mean.dtype), weight) if mean.is_floating_point() else mean.copy_(new)

    return update
