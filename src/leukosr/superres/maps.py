"""Masks of cells as networks take and give them: maps with a channel for nucleus, cytoplasm and rest, in this order."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from leukosr.images.masks import CYTOPLASM, NUCLEUS, REST

ORDER = (NUCLEUS, CYTOPLASM, REST)


def maps_of(masks: Tensor) -> Tensor:
    """N x 1 x H x W masks in [0, 1] (their grey values / 255) to N x 3 x H x W of 0 and 1, float32."""
    values = torch.tensor(ORDER, device=masks.device).view(1, -1, 1, 1)
    return ((masks * 255).round() == values).float()


def masks_of(maps: Tensor) -> np.ndarray:
    """N x 3 x H x W probabilities to masks of the likeliest class, uint8 N x H x W."""
    return np.asarray(ORDER, np.uint8)[maps.argmax(dim=1).cpu().numpy()]
