"""How long a network takes for an image, by a piece of it, so that a long wait is announced."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from leukosr.engine.progress import say
from leukosr.superres.tiles import Tiles

PIECE = 32  # side in pixels of the piece of an image by which a network is timed on a CPU
GPU_PIECE = 256  # a GPU takes as long for a small piece as for a tile
QUICK = 16 * PIECE**2  # pixels: the time of smaller images is not worth asking for
LONG = 20.0  # seconds from which on waiting is announced

Enlarge = Callable[[np.ndarray], np.ndarray]


def computed(image: np.ndarray, tile: int, overlap: int) -> int:
    """How many pixels are computed for an LR image, in tiles that overlap; 0: whole."""
    height, width = image.shape[:2]
    if not tile:
        return height * width
    tiles = Tiles((height, width), 1, tile, overlap).low(image)
    return sum(each.shape[0] * each.shape[1] for each in tiles)


def pace_of(enlarge: Enlarge, image: np.ndarray, device: torch.device) -> float:
    """Seconds per pixel, measured on a piece of the image."""
    side = PIECE if device.type == "cpu" else GPU_PIECE
    piece = image[:side, :side]
    enlarge(piece)  # the first time takes longer
    began = time.monotonic()
    enlarge(piece)
    return (time.monotonic() - began) / (piece.shape[0] * piece.shape[1])


@dataclass
class Waiting:
    """Says, before the first image that takes long, how long; of the others the progress tells."""

    enlarge: Enlarge
    device: torch.device
    tile: int
    overlap: int
    pace: float | None = None
    said: bool = False

    def announce(self, image: np.ndarray, name: str) -> None:
        """Print a line if the image called `name` is the first to take long."""
        count = computed(image, self.tile, self.overlap)
        if self.said or count < QUICK:
            return
        if self.pace is None:
            self.pace = pace_of(self.enlarge, image, self.device)
        if (seconds := self.pace * count) >= LONG:
            self.said = True
            height, width = image.shape[:2]
            say(f"{name}: enlarging {height}x{width} pixels takes about {_duration(seconds)} on this machine")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
