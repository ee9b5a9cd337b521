"""Decoded images, kept in memory up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, Protocol, TypeVar

import numpy as np

from leukosr.engine.parallel import usable_cores

Key = TypeVar("Key")


class Examples(Protocol):
    """What a classifier trains on or is tested on, by number: images, or features of images."""

    def __len__(self) -> int:
        """The number of examples."""

    def take(self, indices: Sequence[int], /) -> np.ndarray:
        """Some of them as one array: uint8 N x H x W x 3, or float32 N x features."""


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
        self._lock = Lock()  # of the room

    def __len__(self) -> int:
        """The number of images."""
        return len(self.keys)

    def __getitem__(self, index: int) -> np.ndarray:
        """The image at `index`, uint8 H x W x 3; read-only."""
        if index not in self._kept:
            image = self._read(self.keys[index])
            with self._lock:
                if index not in self._kept:
                    if image.nbytes > self._room:
                        return image
                    self._room -= image.nbytes
                    self._kept[index] = image
        return self._kept[index]

    def load(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Some of the images; what is to be decoded is decoded on all cores."""
        if len(indices) < 2 or all(index in self._kept for index in indices):
            return [self[index] for index in indices]
        with ThreadPoolExecutor(usable_cores()) as pool:
            return list(pool.map(self.__getitem__, indices))

    def take(self, indices: Sequence[int]) -> np.ndarray:
        """Some of the images, of one size, as one array: uint8 N x H x W x 3."""
        return np.stack(self.load(indices))


class Subset:
    """Some examples of a store, in an order of their own; they are kept by the store."""

    def __init__(self, store: Examples, places: Sequence[int]) -> None:
        self._store, self._places = store, places

    def __len__(self) -> int:
        """The number of examples."""
        return len(self._places)

    def take(self, indices: Sequence[int]) -> np.ndarray:
        """Some of them as one array."""
        return self._store.take([self._places[index] for index in indices])
