"""The optimisers of a stage of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leukosr.superres.methods.method import TrainStage


def optimizer_of(module: nn.Module, stage: TrainStage) -> torch.optim.Optimizer:
    """The stage's optimiser of all weights of a network."""
    weights, rate, decay = module.parameters(), stage.learning_rate, stage.weight_decay
    if stage.optimizer == "adam":
        return torch.optim.Adam(weights, lr=rate, betas=stage.betas, eps=stage.epsilon, weight_decay=decay, fused=True)
    return torch.optim.SGD(weights, lr=rate, momentum=stage.betas[0], weight_decay=decay)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, clip: float | None) -> None:
    """One step down the gradient of `loss`, whose norm over all weights is cut to `clip`."""
    optimizer.zero_grad()
    loss.backward()
    if clip is not None:
        for group in optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], clip)
    optimizer.step()
