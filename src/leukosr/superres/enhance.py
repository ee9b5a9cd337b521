"""Super-resolution of a user's own images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from leukosr.config import Precision
from leukosr.data.images import SUFFIXES, read_as_rgb, write_png
from leukosr.engine.device import choose_device, place
from leukosr.engine.precision import Resolved, resolve
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import new_file
from leukosr.superres.upscaler import upscale_images
from leukosr.superres.weights import load_generator


@dataclass(frozen=True)
class _How:
    precision: Resolved
    channels_last: bool = True


def enhance_path(
    source: Path, target: Path, weights: Path, *, tile: int, overlap: int, precision: str, device_name: str
) -> int:
    """Upscale one image to the PNG `target`, or all images below a folder into the folder `target`.

    Returns the number of images. Each file appears complete or not at all. Raises LeukoError for missing
    input, a target that is the input, unreadable images and unusable weights.
    """
    if precision not in get_args(Precision):
        raise LeukoError(f"--precision is '{precision}'; allowed are {', '.join(get_args(Precision))}")
    if device_name not in ("auto", "cpu", "cuda"):
        raise LeukoError(f"--device is '{device_name}'; allowed are auto, cpu, cuda")
    if tile and tile - overlap < 2:
        raise LeukoError(f"--overlap {overlap} must be smaller than --tile {tile} by 2 pixels or more")
    files = _list(source, target)
    device = choose_device(device_name)  # type: ignore[arg-type]
    loaded = load_generator(weights, device)
    model, how = place(loaded.model, device, channels_last=True), _How(resolve(precision, device))  # type: ignore[arg-type]
    images = (read_as_rgb(file) for file, _ in files)
    upscaled = upscale_images(model, images, loaded.scale, how, device, batch=1, tile=tile, overlap=overlap)
    for (_, output), image in zip(files, track(upscaled, len(files), "enhancing"), strict=True):
        with new_file(output) as temporary:
            write_png(temporary, image)
    return len(files)


def _list(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """Input and output file pairs."""
    if source.is_file():
        if target.is_dir():
            target = target / f"{source.stem}.png"
        if target.suffix.lower() != ".png":
            raise LeukoError(f"{target}: results are written as PNG, name the file .png")
        files = [(source, target)]
    elif source.is_dir():
        if target.is_file():
            raise LeukoError(f"{target} is a file, but {source} is a folder: name a folder to write to")
        found = sorted(file for file in source.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not found:
            raise LeukoError(f"{source} holds no images ({', '.join(sorted(SUFFIXES))})")
        files = [(file, (target / file.relative_to(source)).with_suffix(".png")) for file in found]
    else:
        raise LeukoError(f"{source} does not exist: name an image or a folder of images")
    for file, output in files:
        if file.resolve() == output.resolve():
            raise LeukoError(f"{output} would replace its own input: choose another place for the results")
    if len({output for _, output in files}) != len(files):
        raise LeukoError(f"two images below {source} differ only in their suffix: rename one")
    return files
