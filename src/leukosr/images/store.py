"""Decoded images, kept in memory up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

Key = TypeVar("Key")


class ImageStore(Generic[Key]):
    """A sequence of uint8 images that are decoded once, as long as their sum fits into `limit` bytes.

    Images beyond the limit are decoded at every access, so memory stays bounded.
    """

    def __init__(self, keys: Sequence[Key], read: Callable[[Key], np.ndarray], limit: int = 3 * 1024**3) -> None:
        """`read` decodes one image."""
        self.keys = keys
        self._read = read
        self._room = limit
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        """The number of images."""
        return len(self.keys)

    def __getitem__(self, index: int) -> np.ndarray:
        """The image at `index`, uint8 H x W x 3; read-only."""
        if index not in self._kept:
            image = self._read(self.keys[index])
            if image.nbytes > self._room:
                return image
            self._room -= image.nbytes
            self._kept[index] = image
        return self._kept[index]
