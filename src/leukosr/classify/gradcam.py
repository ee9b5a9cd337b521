"""Where a classifier looked: Grad-CAM (Selvaraju et al., ICCV 2017, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.ensemble import Ensemble
from leukosr.errors import LeukoError

MAPS = (nn.Conv2d, nn.BatchNorm2d, nn.GroupNorm)  # give N x channels x h x w, whatever the network


class FlatMap(LeukoError):
    """The image is so small that the last feature maps have one row or column."""


def attention(model: nn.Module, image: Tensor, place: int) -> np.ndarray:
    """What speaks for class number `place` in one image, 1 x 3 x H x W in [0, 1]: float32 h x w from 0 to 1.

    h x w are the sides of the last feature map before the head. Of an ensemble it is the mean over the members. Raises
    LeukoError for a network without a feature map near its end, FlatMap where an image is too small for one.
    """
    members = model.members if isinstance(model, Ensemble) else [model]
    return np.asarray(np.mean([_attention_of_one(member, image, place) for member in members], axis=0))


def _attention_of_one(network: nn.Module, image: Tensor, place: int) -> np.ndarray:
    assert isinstance(network, ClassifierNetwork)
    layers = flat = 0
    last: tuple[Tensor, int] | None = None  # and how many layers had run

    def watch(part: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal layers, flat, last
        layers += 1
        if isinstance(part, MAPS) and output.ndim == 4:
            if min(output.shape[2:]) > 1:
                last = output, layers
            else:
                flat = layers

    with ExitStack() as hooks, torch.enable_grad():
        for name, part in network.network.named_modules():
            if isinstance(part, (*MAPS, nn.Linear)) and not f"{name}.".startswith(f"{network.head}."):
                hooks.enter_context(part.register_forward_hook(watch))
        logit = network(image)[0, place]
    if last is None or 2 * last[1] < layers:  # a transformer's only convolution cuts patches
        if 2 * flat >= layers:
            raise FlatMap("the image is too small for Grad-CAM: the last feature maps have one row or column")
        raise LeukoError("this backbone has no feature map near its end, which Grad-CAM needs")
    maps = last[0]
    (gradient,) = torch.autograd.grad(logit, maps)
    found = (gradient.mean((2, 3), keepdim=True) * maps).sum(1)[0].detach().relu()
    return np.asarray((found / found.max().clamp(min=torch.finfo(found.dtype).tiny)).float().cpu().numpy())


def enlarged(found: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map, float32, at another (height, width)."""
    return cv2.resize(found, size[::-1], interpolation=cv2.INTER_LINEAR)


def together(maps: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The mean of the maps of several classifiers, float32, at one (height, width)."""
    return np.asarray(np.mean([enlarged(each, size) for each in maps], axis=0))


def overlay(image: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The image, uint8 H x W x 3, with warm colours where `found`, float32 h x w from 0 to 1, is high."""
    found = enlarged(found, image.shape[:2])
    colours = cv2.applyColorMap(np.rint(255 * found).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = 0.6 * found[..., None]
    return np.rint((1 - opacity) * image + opacity * colours).astype(np.uint8)
