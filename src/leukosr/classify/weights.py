"""Classifier weights as safetensors with a header that names the network and its classes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn
from torch.overrides import TorchFunctionMode

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.ensemble import Ensemble, together
from leukosr.classify.settings import Architecture
from leukosr.engine.weights import first_difference, load_into, read_tensors, write_tensors
from leukosr.errors import LeukoError
from leukosr.quoting import short

MOST = 1000  # classes, or members of an ensemble
WIDEST = 65_536
SHAPE = tuple(name for name in Architecture.model_fields if name != "backbone")  # beside it in the header


@dataclass(frozen=True)
class LoadedClassifier:
    """A classifier, or an ensemble, in evaluation mode; its classes as its outputs stand; what images are shrunk to.

    header: all that its file says of it.
    """

    model: nn.Module
    architecture: Architecture
    classes: tuple[str, ...]
    size: tuple[int, int] | None
    header: Mapping[str, str] = field(default_factory=dict)


def save_classifier(
    path: Path,
    model: nn.Module,
    architecture: Architecture,
    classes: list[str],
    size: tuple[int, int] | None,
    note: Mapping[str, str] | None = None,
) -> None:
    """Write a classifier, or an ensemble of them, atomically; `size` (height, width) is what images were shrunk to.

    `note` adds entries to the header.
    """
    shape = json.dumps({name: architecture.model_dump()[name] for name in SHAPE})
    header = {
        "architecture": architecture.backbone,
        "network": shape,
        "classes": json.dumps(classes),
        "size": json.dumps(size),
    }
    if isinstance(model, Ensemble):
        header["ensemble"] = str(len(model.members))
    if clash := header.keys() & (note or {}).keys():
        raise ValueError(f"the note may not replace the header's {sorted(clash)}")
    write_tensors(path, model.state_dict(), {**header, **(note or {})})


def load_classifier(path: Path, device: str | torch.device = "cpu") -> LoadedClassifier:
    """Read a classifier. Raises LeukoError for a damaged file, weights of another network or no finite numbers."""
    tensors, header = read_tensors(path)
    if missing := [key for key in ("architecture", "classes", "size") if key not in header]:
        found = f"'{short(header['architecture'])}'" if "architecture" in header else "something else"
        raise LeukoError(
            f"{path} holds no classifier of LeukoSR but {found} (its header lacks {', '.join(missing)}): name weights "
            "that `leukosr classify` wrote, outputs/STUDY/classify/EXPERIMENT"
        )
    architecture = _architecture(path, header)
    classes, size, members = _described(path, header)
    count = len(classes)
    with torch.random.fork_rng(devices=[]), _WithoutMemory():  # what is built must have the size of what the file holds
        one = ClassifierNetwork(architecture, count).state_dict()
    if "network" not in header:  # an older version saved the network without what is around it
        prefix = re.compile(r"(members\.\d+\.)?")
        tensors = {prefix.sub(r"\g<0>network.", name, count=1): tensor for name, tensor in tensors.items()}
    ensemble = {f"members.{i}.{name}": tensor for i in range(members) for name, tensor in one.items()}
    if difference := first_difference(ensemble if members > 1 else one, tensors):
        raise LeukoError(f"{path} does not fit {architecture.backbone} with {count} classes: {difference}")
    with torch.random.fork_rng(devices=[]):
        model = together([ClassifierNetwork(architecture, count) for _ in range(members)])
    load_into(model, tensors, path)
    return LoadedClassifier(model.to(device).eval(), architecture, classes, size, header)


class _WithoutMemory(TorchFunctionMode):
    """Weights are made without memory; numbers that a network computes while it is built (RegNet's widths) are real."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def _architecture(path: Path, header: Mapping[str, str]) -> Architecture:
    """The network, as the header says; of older files, which say no more than its backbone, the published one."""
    try:
        return Architecture(**{**json.loads(header.get("network", "{}")), "backbone": header["architecture"]})
    except (ValidationError, TypeError, ValueError, RecursionError) as error:
        raise LeukoError(
            f"{path} holds weights of '{short(header['architecture'])}', and its header is not that of a classifier: "
            "save it again"
        ) from error


def _described(path: Path, header: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[int, int] | None, int]:
    """Classes, size and number of members, as the header says."""
    try:
        classes, size = json.loads(header["classes"]), json.loads(header["size"])
        members = int(header.get("ensemble", "1"))
        if not (isinstance(classes, list) and classes and all(type(name) is str for name in classes)):
            raise ValueError("classes is no list of names")
        if len(set(classes)) < len(classes) or len(classes) > MOST:
            raise ValueError(f"classes repeat, or are more than {MOST}")
        if size is not None and not (len(size) == 2 and all(type(side) is int and 0 < side < WIDEST for side in size)):
            raise ValueError("size is no pair of pixels")
        if not 1 <= members <= MOST:
            raise ValueError(f"ensemble is not between 1 and {MOST}")
    except (ValueError, TypeError, RecursionError) as error:
        raise LeukoError(f"{path} has a damaged header ({short(str(error))}): save it again") from error
    return tuple(classes), size and tuple(size), members
