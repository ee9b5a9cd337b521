"""What the training of one classifier has measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class History:
    """One row per epoch."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def waited(self, patience: float = math.inf, monitor: str = "val_loss") -> tuple[int, int]:
        """Epochs since the best validation loss or accuracy, and how often more than `patience` of them went by.

        Each time the count starts again, as in torch's ReduceLROnPlateau.
        """
        best, waiting, ended = math.inf, 0, 0
        for row in self.rows:
            cost = row[monitor] if monitor == "val_loss" else -row[monitor]
            waiting = 0 if cost < best else waiting + 1
            best = min(best, cost)
            if waiting > patience:
                waiting, ended = 0, ended + 1
        return waiting, ended
