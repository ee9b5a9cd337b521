"""Maps of nucleus and cytoplasm, as a trained geometry prior predicts them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from leukosr.engine.device import autocast, place, to_batch
from leukosr.engine.progress import track
from leukosr.errors import Diverged, LeukoError
from leukosr.files import new_file
from leukosr.images.masks import CYTOPLASM, NUCLEUS, write_mask
from leukosr.images.reading import write_png
from leukosr.images.resampling import resize
from leukosr.superres.edge import input_of
from leukosr.superres.enhance import Enhanced, How, device_of, images_below, readable
from leukosr.superres.maps import masks_of
from leukosr.superres.networks import Generator
from leukosr.superres.networks.prior import GeometryPrior
from leukosr.superres.tiles import Tiles
from leukosr.superres.upscaler import Computing
from leukosr.superres.weights import load_generator

TINTS = {NUCLEUS: (213, 94, 0), CYTOPLASM: (0, 114, 178)}  # Okabe & Ito's vermilion and blue


@torch.inference_mode()
def predicted_masks(
    model: GeometryPrior,
    images: Iterable[NDArray[np.uint8]],
    how: Computing,
    device: torch.device,
    tile: int = 0,
    overlap: int = 0,
) -> Iterator[NDArray[np.uint8]]:
    """The likeliest part of the cell at each pixel of the enlarged images, one after the other.

    images: LR, uint8 H x W x 3; larger ones than `tile`, if above 0, in tiles (`superres.tiles`). Masks are uint8
    scale*H x scale*W of the values of `leukosr.images.masks`. Raises Diverged where the network's map is not finite.
    """
    model.eval()
    for image in images:
        if tile and max(image.shape[:2]) > tile:
            tiles = Tiles((image.shape[0], image.shape[1]), model.scale, tile, overlap, model.contract.grid)
            yield tiles.joined(predicted_masks(model, tiles.low(image), how, device))
            continue
        (seen,) = input_of(model, to_batch(image[None], device, how.channels_last))
        with autocast(device, how.precision):
            maps = model.predicted_maps(seen)
        if not maps.isfinite().all():
            raise Diverged(f"the map is not finite in {how.precision}: use other weights, or set precision to fp32")
        yield masks_of(maps)[0]


def with_prior(model: Generator, weights: Path) -> GeometryPrior:
    """The model as one that predicts maps. Raises LeukoError for another network."""
    if not isinstance(model, GeometryPrior):
        raise LeukoError(f"{weights} holds no network that predicts maps: name weights of a geometry_prior training")
    return model


def segment_path(source: Path, target: Path, weights: Path, precision: str, device_name: str) -> Enhanced:
    """The maps of one image, or of all images below a folder, as masks/ and overlays/ in the folder `target`.

    They have the size of the enlarged images. An image that cannot be read does not stop the others. Raises LeukoError
    as `enhance_path` does, and for weights of a network without a prior.
    """
    if target.exists() and not target.is_dir():
        raise LeukoError(f"{target} is a file: name a folder, which will hold masks/ and overlays/")
    device = device_of(device_name)
    loaded = load_generator(weights, device)
    model, how = place(with_prior(loaded.model, weights), device, channels_last=True), How.of(precision, device)
    masks = target / "masks"
    files = images_below(source, masks if source.is_dir() else masks / f"{source.stem}.png", without=target)
    if not source.is_dir() and (output := files.pairs[0][1]).exists():
        raise LeukoError(f"{output} exists already: name another folder, or remove it")
    outputs: deque[Path] = deque()
    shown: deque[NDArray[np.uint8]] = deque()

    def images() -> Iterator[NDArray[np.uint8]]:
        for image in readable(files, outputs):
            shown.append(image)
            yield image

    written = 0
    for mask in track(predicted_masks(model, images(), how, device), len(files.pairs), "segmenting"):
        output = outputs.popleft()
        with new_file(output) as temporary:
            write_mask(temporary, mask)
        with new_file(target / "overlays" / output.relative_to(masks)) as temporary:
            write_png(temporary, overlay(shown.popleft(), mask))
        written += 1
    if files.failed and not source.is_dir():
        raise LeukoError(files.failed[0])
    return Enhanced(written, files.failed, files.left_out)


def overlay(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image, uint8 RGB, enlarged to the mask's size, nucleus and cytoplasm tinted in `TINTS`."""
    shown = resize(image, (mask.shape[0], mask.shape[1]), "pillow_bicubic").astype(np.float32)
    for value, tint in TINTS.items():
        here = mask == value
        shown[here] = 0.6 * shown[here] + 0.4 * np.asarray(tint, np.float32)
    return np.rint(shown).astype(np.uint8)
