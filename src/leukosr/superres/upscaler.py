"""Upscaling of whole images or of overlapping tiles."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Protocol

import numpy as np
import torch

from leukosr.engine.device import autocast, to_batch, to_grey_levels, to_uint8
from leukosr.errors import Diverged
from leukosr.settings import Precision
from leukosr.superres.edge import input_of, output_of
from leukosr.superres.maps import maps_of
from leukosr.superres.networks import Generator
from leukosr.superres.tiles import Tiles


class Computing(Protocol):
    """How a network is computed: part of several settings sections."""

    @property
    def precision(self) -> Precision:
        """fp32 or bf16."""

    @property
    def channels_last(self) -> bool:
        """The memory format."""


@torch.inference_mode()
def upscale_batch(
    model: Generator,
    images: Sequence[np.ndarray],
    how: Computing,
    device: torch.device,
    masks: Sequence[np.ndarray] | None = None,
    exact: bool = False,
) -> list[np.ndarray]:
    """Upscale images of one size, uint8 H x W x 3 each; `model` is put in eval mode and back.

    exact: the results are float32 in grey levels, neither rounded nor cut to 0..255.
    masks: of each, uint8 scale*H x scale*W of the values of `leukosr.images.masks`, for a network that takes maps.
    Raises Diverged where the network's output is not finite: as pixels it would be black.
    """
    training = model.training
    model.eval()
    try:
        batch = to_batch(np.stack(images), device, how.channels_last)
        maps = None if masks is None else maps_of(to_batch(np.stack(masks)[..., None], device, how.channels_last))
        seen = input_of(model, batch, maps)
        with autocast(device, how.precision):
            upscaled = model(*seen)
        if not upscaled.isfinite().all():
            other = "" if how.precision == "fp32" else "; or set precision to fp32"
            raise Diverged(
                f"the network gives values that are not finite in {how.precision}: its weights are damaged or have "
                f"diverged, use others{other}"
            )
        finish = to_grey_levels if exact else to_uint8
        return list(finish(output_of(model, upscaled, batch)).numpy())
    finally:
        model.train(training)


def upscale_tiled(
    model: Generator,
    image: np.ndarray,
    scale: int,
    how: Computing,
    device: torch.device,
    *,
    tile: int,
    overlap: int,
    batch: int = 1,
    mask: np.ndarray | None = None,
    exact: bool = False,
) -> np.ndarray:
    """Upscale one image in tiles of `tile` LR pixels that share `overlap` pixels with each neighbour.

    Half of an overlap is thrown away at each inner edge. The result equals that of the whole image when that
    half covers the network's receptive field, and memory is bounded by the tile. Raises LeukoError for a tile or
    an overlap that `Tiles` refuses.
    """
    tiles = Tiles((image.shape[0], image.shape[1]), scale, tile, overlap, model.contract.grid)
    masks = None if mask is None else tiles.enlarged(mask)
    return tiles.joined(
        upscale_images(model, tiles.low(image), scale, how, device, batch=batch, masks=masks, exact=exact)
    )


def upscale_images(
    model: Generator,
    images: Iterable[np.ndarray],
    scale: int,
    how: Computing,
    device: torch.device,
    *,
    batch: int,
    tile: int = 0,
    overlap: int = 0,
    masks: Iterable[np.ndarray] | None = None,
    exact: bool = False,
) -> Iterator[np.ndarray]:
    """Upscale a stream of images in order: batches of equal size, or tiles where `tile` is above 0.

    Only one batch is held in memory. exact, masks: as in `upscale_batch`, one per image.
    """
    waiting: list[tuple[np.ndarray, np.ndarray | None]] = []
    warned = not model.prefers_whole_images
    for image, mask in zip(images, repeat(None) if masks is None else masks, strict=False):
        if tile and max(image.shape[:2]) > tile:
            if not warned:
                print("warning: this network sees the whole image, its seams may show: try tile 0", file=sys.stderr)
                warned = True
            yield from _flush(model, waiting, how, device, exact)
            yield upscale_tiled(
                model, image, scale, how, device, tile=tile, overlap=overlap, batch=batch, mask=mask, exact=exact
            )
            continue
        if len(waiting) == batch or (waiting and waiting[0][0].shape != image.shape):
            yield from _flush(model, waiting, how, device, exact)
        waiting.append((image, mask))
    yield from _flush(model, waiting, how, device, exact)


def _flush(
    model: Generator,
    waiting: list[tuple[np.ndarray, np.ndarray | None]],
    how: Computing,
    device: torch.device,
    exact: bool,
) -> Iterator[np.ndarray]:
    if waiting:
        masks = [mask for _, mask in waiting if mask is not None]
        yield from upscale_batch(model, [image for image, _ in waiting], how, device, masks or None, exact)
        waiting.clear()
