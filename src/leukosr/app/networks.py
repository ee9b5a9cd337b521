"""The generators behind the page: read when one is first needed, and timed, so that waiting can be announced."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from leukosr.app.given import Note, Version
from leukosr.classify.predict import OVERLAP, TILE, SuperResolution
from leukosr.errors import LeukoError
from leukosr.layout import weight_file
from leukosr.superres.announced import announced
from leukosr.superres.enhance import How
from leukosr.superres.pace import QUICK, computed, pace_of


class Networks:
    """Generators by their weight files."""

    def __init__(self, how: How, device: torch.device) -> None:
        self._how, self._device = how, device
        self._loaded: dict[Path, SuperResolution] = {}
        self._pace: dict[Path, float] = {}  # seconds per pixel computed, as last measured

    @staticmethod
    def check(weights: Path) -> None:
        """Raise LeukoError for a file whose images are not for the page, by what its header says."""
        said = announced(weight_file(weights))
        if said.only_class:
            raise LeukoError(
                f"{weights} was trained on the class {said.only_class} alone, so that its images tell the label: "
                "take a network of all classes"
            )
        if said.masks:
            raise LeukoError(
                f"{weights} needs a mask of each image, which the page does not take: take another network"
            )

    def enlarged(self, weights: Path, image: np.ndarray, label: str) -> Version:
        """An LR image, uint8 RGB, enlarged; `label` names the network in notes.

        Raises LeukoError for weights that cannot be used.
        """
        network = self._network(weights)
        made, pace = _clocked(network, image)
        if _pixels(image) >= QUICK:
            self._pace[weights] = pace
        return Version(made, [Note(label, text) for text in network.notes], network.unlike(image))

    def seconds(self, weights: Path, image: np.ndarray) -> float:
        """About how long that takes; 0 for a small image. A network that is new is timed on a piece of the image."""
        if _pixels(image) < QUICK:
            return 0.0
        if weights not in self._pace:
            self._pace[weights] = pace_of(self._network(weights), image, self._device)
        return self._pace[weights] * _pixels(image)

    def _network(self, weights: Path) -> SuperResolution:
        if weights not in self._loaded:
            self._loaded[weights] = SuperResolution.load(weights, self._how, self._device)
        return self._loaded[weights]


def _clocked(network: SuperResolution, image: np.ndarray) -> tuple[np.ndarray, float]:
    """The image enlarged, and the seconds that each computed pixel took."""
    began = time.monotonic()
    made = network(image)
    return made, (time.monotonic() - began) / _pixels(image)


def _pixels(image: np.ndarray) -> int:
    """How many are computed for an LR image, in tiles that overlap."""
    return computed(image, TILE, OVERLAP)
