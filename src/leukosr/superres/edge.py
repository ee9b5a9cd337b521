"""The edge of a network: uint8 RGB files on one side, what its contract says on the other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from leukosr.errors import LeukoError
from leukosr.images.colour import RGB_TO_YCBCR, YCBCR_OFFSET
from leukosr.superres.maps import maps_of
from leukosr.superres.networks import Generator
from leukosr.superres.networks.contract import enlarged


def input_of(network: Generator, rgb: Tensor, maps: Tensor | None = None) -> tuple[Tensor, ...]:
    """What the network sees of LR images, N x 3 x h x w RGB in [0, 1]: the images and, if it takes any, their maps.

    maps: N x classes x scale*h x scale*w in [0, 1]. Raises LeukoError where the network cannot take images of that
    size, or needs a map that is not given or has other classes.
    """
    _check(network, *rgb.shape[-2:])
    images = target_of(network, rgb)
    if network.contract.enlarged:
        images = enlarged(images, network.scale)
    if not network.contract.masks:
        return (images,)
    return images, _checked(network, maps, [network.scale * side for side in rgb.shape[-2:]])


def seen_and_target(network: Generator, lr: Tensor, hr: Tensor, with_masks: bool) -> tuple[tuple[Tensor, ...], Tensor]:
    """What the network sees of a training batch, and what its output is compared with.

    with_masks: masks follow the originals as their fourth channel. Their maps belong to what is seen or, if the network
    takes none, to what its output is compared with, after the image.
    """
    if not with_masks:
        return input_of(network, lr), target_of(network, hr)
    maps = maps_of(hr[:, 3:])
    seen, target = input_of(network, lr, maps), target_of(network, hr[:, :3])
    return seen, target if network.contract.masks else torch.cat((target, maps), dim=1)


def target_of(network: Generator, rgb: Tensor) -> Tensor:
    """What its output is compared with, from N x 3 x H x W RGB in [0, 1]: the same, or Y of BT.601, N x 1 x H x W."""
    return _to_ycbcr(rgb)[:, :1] if network.contract.channels == "luminance" else rgb


def output_of(network: Generator, output: Tensor, rgb: Tensor) -> Tensor:
    """Its output as RGB; that of a luminance network gets the chroma of the LR images, enlarged by bicubic."""
    if network.contract.channels == "rgb":
        return output
    chroma = enlarged(_to_ycbcr(rgb)[:, 1:], network.scale)
    return _mix(torch.cat((output.float(), chroma), dim=1) - _offset(rgb), np.linalg.inv(RGB_TO_YCBCR))


def _check(network: Generator, height: int, width: int) -> None:
    contract, name = network.contract, type(network).__name__
    if contract.size not in (None, (height, width)):
        raise LeukoError(f"{name} takes LR images of {contract.size}, not of {(height, width)}: set image to its size")
    if height % contract.multiple_of or width % contract.multiple_of:
        raise LeukoError(
            f"{name} takes LR images whose sides are multiples of {contract.multiple_of}, not {(height, width)}: "
            "change image.height and image.width"
        )


def _checked(network: Generator, maps: Tensor | None, size: list[int]) -> Tensor:
    name, classes = type(network).__name__, network.contract.masks
    if maps is None:
        raise LeukoError(f"{name} needs a mask for each image, and none is given: choose a network without masks")
    if maps.shape[1] != classes:
        raise LeukoError(f"{name} takes maps of {classes} classes, not of {maps.shape[1]}: set its conditions to that")
    if [*maps.shape[-2:]] != size:
        raise LeukoError(f"{name} takes maps of the size of its output, {size}, not of {[*maps.shape[-2:]]}")
    return maps


def _to_ycbcr(rgb: Tensor) -> Tensor:
    return _mix(rgb, RGB_TO_YCBCR) + _offset(rgb)


def _mix(images: Tensor, matrix: np.ndarray) -> Tensor:
    with torch.autocast(images.device.type, enabled=False):
        return torch.einsum("ij,njhw->nihw", torch.as_tensor(matrix, dtype=torch.float32, device=images.device), images)


def _offset(like: Tensor) -> Tensor:
    return torch.as_tensor(YCBCR_OFFSET, dtype=torch.float32, device=like.device).view(1, 3, 1, 1)
