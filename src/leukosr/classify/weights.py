"""Classifier weights as safetensors with a header that names the network and its classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from leukosr.classify import BACKBONES
from leukosr.classify.ensemble import Ensemble, together
from leukosr.engine.weights import read_tensors, write_tensors
from leukosr.errors import LeukoError


@dataclass(frozen=True)
class LoadedClassifier:
    """A classifier, or an ensemble, in evaluation mode; its classes as its outputs stand; what images are shrunk to."""

    model: nn.Module
    backbone: str
    classes: tuple[str, ...]
    size: tuple[int, int] | None


def save_classifier(
    path: Path, model: nn.Module, backbone: str, classes: list[str], size: tuple[int, int] | None,
    note: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Write a classifier, or an ensemble of them, atomically.

    `size` (height, width) is what images were shrunk to; `note` adds entries to the header.
    """
    header = {**(note or {}), "architecture": backbone, "classes": json.dumps(classes), "size": json.dumps(size)}
    if isinstance(model, Ensemble):
        header["ensemble"] = str(len(model.members))
    write_tensors(path, model.state_dict(), header)


def load_classifier(path: Path, device: str | torch.device = "cpu") -> LoadedClassifier:
    """Read a classifier. Raises LeukoError for a damaged file or weights of another network."""
    tensors, header = read_tensors(path, required=("architecture", "classes", "size"))
    backbone, classes, size = header["architecture"], json.loads(header["classes"]), json.loads(header["size"])
    if backbone not in BACKBONES:
        known = ", ".join(BACKBONES)
        raise LeukoError(f"{path} holds weights of '{backbone}', which is no classifier here; known are {known}")
    with torch.random.fork_rng(devices=[]):
        model = together([BACKBONES[backbone](len(classes)) for _ in range(int(header.get("ensemble", "1")))])
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise LeukoError(f"{path} does not fit {backbone} with {len(classes)} classes: {first}") from None
    return LoadedClassifier(model.to(device).eval(), backbone, tuple(classes), size and tuple(size))
