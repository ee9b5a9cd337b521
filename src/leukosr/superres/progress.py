"""How far an SR training is, what it has measured, and its best network so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


def history_columns(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns of a training's history: the losses are those that its objectives name."""
    losses = dict.fromkeys(name for row in history for name in row if name.startswith("loss_"))
    return ["iteration", "stage", "learning_rate", *losses, "val_psnr", "val_ssim", "seconds"]


@dataclass
class Progress:
    """How far a training is, and what it has measured.

    `losses` are those since the last validation; `best` is the generator with the best validation PSNR.
    """

    iteration: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: dict[str, list[float]] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_iteration: int = 0
    best_psnr: float = float("-inf")

    def validated(self, row: dict[str, Any], network: nn.Module) -> None:
        """Add a row to the history, and keep the network if no earlier one had so high a PSNR."""
        self.history.append(row)
        psnr = row["val_psnr"]
        if psnr is not None and psnr > self.best_psnr:
            self.best_psnr, self.best_iteration = psnr, self.iteration
            self.best = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
