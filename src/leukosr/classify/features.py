"""What a frozen backbone makes of images: computed once, and kept for every later training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.settings import Classifier
from leukosr.engine.device import autocast, place, to_batch
from leukosr.engine.progress import progress
from leukosr.engine.resume import Resume, work_digest
from leukosr.images.store import ImageStore

ROOT = Path(".leukosr/features")
BLOCK = 256  # images of one file: a cut pass loses no more than one
BATCH = 32


class FeatureStore:
    """Features instead of images: float32 N x features."""

    def __init__(self, features: np.ndarray) -> None:
        self.features = features

    def __len__(self) -> int:
        """The number of images."""
        return len(self.features)

    def take(self, indices: Sequence[int]) -> np.ndarray:
        """Some of them, float32 N x features."""
        return self.features[list(indices)]


def features_of(images: ImageStore[Any], settings: Classifier, device: torch.device, root: Path = ROOT) -> np.ndarray:
    """What the backbone of the settings gives its head for every image: float32 N x features.

    They are kept below `root` in files of 256 images, and computed only where the weights, the settings that change
    them, the pixels or the code are other ones. Raises LeukoError for a backbone whose head is not linear.
    """
    with torch.random.fork_rng(devices=[]):
        network = ClassifierNetwork(settings, 2, settings.weights, settings.frozen)
    kept = Resume(_digest(network, settings, device), 0, root)
    network = place(network, device, settings.channels_last).eval()
    found: list[np.ndarray] = []
    with progress(len(images), f"features of {settings.backbone}") as advance:
        for start in range(0, len(images), BLOCK):
            block = images.load(range(start, min(start + BLOCK, len(images))))
            name = _digest_of(block)
            state = kept.load(name)
            if state is None:
                state = {"features": _computed(network, block, settings, device)}
                kept.save(name, state)
            found.append(state["features"].numpy())
            advance(len(block), "")
    return np.concatenate(found)


def _digest_of(images: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for image in images:
        digest.update(repr(image.shape).encode())
        digest.update(image.tobytes())
    return digest.hexdigest()


def _digest(network: ClassifierNetwork, settings: Classifier, device: torch.device) -> str:
    """The network but for its head, how it computes, and the code."""
    weights = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        if not name.startswith(f"network.{network.head}."):
            weights.update(name.encode())
            weights.update(tensor.contiguous().numpy().tobytes())
    scaling = [network.mean.tolist(), network.sd.tolist()]
    built = [settings.backbone, settings.norm_layers]  # group and layer norm have weights of the same names and shapes
    computed = [settings.precision, device.type, torch.__version__]
    return work_digest([*built, scaling, *computed, weights.hexdigest()], [])


@torch.inference_mode()
def _computed(
    network: ClassifierNetwork, images: Sequence[np.ndarray], settings: Classifier, device: torch.device
) -> Tensor:
    """Features of images in their order, float32 on the CPU; neighbours of one size make a batch."""
    rows = []
    for _, alike in groupby(images, key=np.shape):
        group = np.stack(list(alike))
        for start in range(0, len(group), BATCH):
            with autocast(device, settings.precision):
                batch = to_batch(group[start : start + BATCH], device, settings.channels_last)
                rows.append(network.features(batch).float().cpu())
    return torch.cat(rows)
