"""Super-resolution of a user's own images."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, get_args

import numpy as np
import torch

from leukosr.engine.device import choose_device, place
from leukosr.engine.precision import Resolved, resolve
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import new_file
from leukosr.images.appearance import TrainingImages, cautions
from leukosr.images.decoding import NO_IMAGE, SUFFIXES
from leukosr.images.listing import RESULTS, list_files
from leukosr.images.reading import large_enough, read_as_rgb, write_png
from leukosr.outputs import claimed, is_free_for
from leukosr.quoting import absent, counted, visible
from leukosr.settings import Precision
from leukosr.superres.pace import Waiting
from leukosr.superres.tiles import LEAST
from leukosr.superres.upscaler import upscale_images
from leukosr.superres.weights import load_generator

COMMAND = "enhance"


@dataclass(frozen=True)
class How:
    """How a network is computed for anyone's images."""

    precision: Resolved
    channels_last: bool = True

    @classmethod
    def of(cls, precision: str, device: torch.device) -> Self:
        """By the word of an option. Raises LeukoError for another word."""
        if precision not in get_args(Precision):
            raise LeukoError(f"--precision is '{precision}'; allowed are {', '.join(get_args(Precision))}")
        return cls(resolve(precision, device))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Enhanced:
    """What became of the files: how many images were written, and a sentence on each other one.

    failed: images that could not be enlarged. left_out: files that are not images. notes: sentences on what the results
    are worth, by what the network was trained on.
    """

    written: int
    failed: list[str]
    left_out: list[str]
    notes: list[str] = field(default_factory=list, compare=False)


@dataclass(frozen=True)
class Files:
    """Pairs of input and output, and what `Enhanced` says of the other files."""

    pairs: list[tuple[Path, Path]]
    failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def enhance_path(
    source: Path, target: Path, weights: Path, *, tile: int, overlap: int, precision: str, device_name: str
) -> Enhanced:
    """Upscale one image to the PNG `target`, or all images below a folder into the folder `target`.

    Each file appears complete or not at all, and an image that cannot be read does not stop the others. Raises
    LeukoError for missing input, a target that is the input, a file that a single image would replace, a folder that
    holds anything but earlier results, unusable weights, and a single image that cannot be read.
    """
    if tile and tile - overlap < 2:
        raise LeukoError(f"--overlap {overlap} must be smaller than --tile {tile} by 2 pixels or more")
    if 0 < tile < LEAST:
        raise LeukoError(f"--tile is {tile}: give 0, for whole images, or {LEAST} or more")
    device = device_of(device_name)
    how = How.of(precision, device)
    files = images_below(source, target)
    if not source.is_dir() and (output := files.pairs[0][1]).exists():
        raise LeukoError(f"{output} exists already: name another file for the result, or remove it")
    own = source.is_dir() or is_free_for(COMMAND, target)
    with claimed(target, COMMAND, adds=not source.is_dir()) if own else nullcontext():
        return _enhance(files, weights, device, how, tile=tile, overlap=overlap, alone=not source.is_dir())


def _enhance(
    files: Files, weights: Path, device: torch.device, how: How, *, tile: int, overlap: int, alone: bool
) -> Enhanced:
    loaded = load_generator(weights, device)
    model = place(loaded.model, device, channels_last=True)
    outputs, input_of = deque[Path](), {output: file for file, output in files.pairs}
    seen, odd = TrainingImages.read(loaded.header, weights), dict[Path, str]()

    def enlarged(images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        return upscale_images(model, images, loaded.scale, how, device, batch=1, tile=tile, overlap=overlap)

    waiting = Waiting(lambda image: next(enlarged([image])), device, tile, overlap)

    def images() -> Iterator[np.ndarray]:
        for image in readable(files, outputs):
            file = input_of[outputs[-1]]
            if seen is not None and (phrases := seen.unlike(image)):
                odd[file] = "; ".join(phrases)
            waiting.announce(image, str(file))
            yield image

    written = 0
    for image in track(enlarged(images()), len(files.pairs), "enhancing"):
        with new_file(outputs.popleft()) as temporary:
            write_png(temporary, image)
        written += 1
    if files.failed and alone:
        raise LeukoError(files.failed[0])
    notes = noted(weights, cautions(loaded.header, weights))
    for file, phrases in list(odd.items())[:1]:
        which = f"{len(odd)} of {written} images are unlike the training images, e.g. {file}"
        notes.append(f"{which if written > 1 else f'{file} is unlike the training images'}: {phrases}")
    return Enhanced(written, files.failed, files.left_out, notes)


def noted(weights: Path, phrases: Sequence[str]) -> list[str]:
    """What is said of one network, in one sentence that names its weights once; none where there is nothing."""
    return [f"{weights}: {'; '.join(phrases)}"] if phrases else []


def device_of(name: str) -> torch.device:
    """The device of an option. Raises LeukoError for another word."""
    if name not in ("auto", "cpu", "cuda"):
        raise LeukoError(f"--device is '{name}'; allowed are auto, cpu, cuda")
    return choose_device(name)  # type: ignore[arg-type]


def readable(files: Files, outputs: deque[Path]) -> Iterator[np.ndarray]:
    """The images that can be read, and into `outputs` the place of each one's result."""
    for file, output in files.pairs:
        try:
            image = large_enough(read_as_rgb(file), str(file))
        except LeukoError as error:
            files.failed.append(str(error))
            continue
        outputs.append(output)
        yield image


def images_below(source: Path, target: Path, without: Path | None = None) -> Files:
    """One image and the PNG `target`, or all images below a folder and their places below the folder `target`.

    What lies below `target`, or below `without`, is no input but an earlier result.
    """
    if source.is_dir():
        files = _place_folder(source, target, without or target)
    else:
        found_images(source)
        if target.is_dir():
            target = target / f"{source.stem}.png"
        if target.suffix.lower() != ".png":
            raise LeukoError(
                f"{target} is no folder, and results are written as PNG: name the file .png, or make the folder"
            )
        files = Files([(source, target)])
    for file, output in files.pairs:
        if file.resolve() == output.resolve():
            raise LeukoError(f"{output} would replace its own input: choose another place for the results")
    return files


def _place_folder(source: Path, target: Path, without: Path) -> Files:
    if target.exists() and not target.is_dir():
        raise LeukoError(f"{target} is a file, but {source} is a folder: name a folder to write to")
    if source.resolve() in (target.resolve(), without.resolve()):
        raise LeukoError(f"{source} holds the images themselves: choose another place for the results")
    found, input_of = found_images(source, without=without), dict[Path, Path]()
    for file, name in found.pairs:
        output = (target / name).with_suffix(".png")
        if (other := input_of.setdefault(output, file)) != file:
            raise LeukoError(f"{other} and {file.name} differ only in their suffix: rename one")
    return Files([(file, output) for output, file in input_of.items()], found.failed, found.left_out)


def found_images(source: Path, without: Path | None = None) -> Files:
    """One image, or all below a folder except those below `without`, each with its path below that folder.

    Raises LeukoError where there is none.
    """
    if not source.exists():
        raise absent(source, "name an image or a folder of images")
    if not source.is_dir():
        return Files([(source, Path(source.name))])
    files = Files([])
    for item in list_files(source, without=without, results=False):
        if item.reason is None:
            files.pairs.append((item.path, item.path.relative_to(source)))
            continue
        sentences = files.left_out if item.reason in (NO_IMAGE, RESULTS) else files.failed
        sentences.append(f"{visible(str(item.path))} {item.reason}")
    if not files.pairs:
        others = f", {counted(len(files.left_out) + len(files.failed), 'other file')}"
        raise LeukoError(f"{source} holds no images ({', '.join(sorted(SUFFIXES))}){others}")
    return files
