"""The masks of a set: where they lie, and which of them can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from leukosr.data.catalogue import MASKS, Checked, Rejected, SetFile
from leukosr.data.manifest import Item
from leukosr.errors import LeukoError
from leukosr.images.decoding import Unusable, opened, stored_mode
from leukosr.images.listing import list_files
from leukosr.images.masks import read_mask


@dataclass(frozen=True)
class FoundMasks:
    """of: the place of a mask in a set -> the file that holds it now. others: files that are the mask of no image."""

    of: Mapping[str, Path] = field(default_factory=dict)
    others: Sequence[Rejected] = ()
    notes: tuple[str, ...] = ()


def place_of_mask(image: str) -> str:
    """Where the mask of the image at a path of a set lies: masks/, then the image's path, as .png."""
    return Path(MASKS, image).with_suffix(".png").as_posix()


def masks_of(root: Path, images: Iterable[Checked]) -> dict[str, str]:
    """Image id -> path below `root` of its mask, for images that have one."""
    places = {image.file.image_id: place_of_mask(image.file.path) for image in images}
    return {image: place for image, place in places.items() if (root / place).is_file()}


def beside_images(root: Path, files: Sequence[SetFile]) -> dict[str, Path]:
    """Images that have their mask beside them, under their own name as PNG (1.bmp, 1.png): path -> that file.

    Two images may be called alike by mistake, so a set has masks beside its images only where one of these PNGs is not
    RGB, which no image of a study is.
    """
    names = Counter(item.image_id for item in files)
    twice = [item for item in files if names[item.image_id] == 2 and (item.reason is None or item.part == "unlisted")]
    png = {item.image_id: root / item.path for item in twice if PurePosixPath(item.path).suffix.lower() == ".png"}
    if not any(map(_is_not_rgb, png.values())):
        return {}
    return {
        item.path: png[item.image_id]
        for item in twice
        if item.image_id in png and root / item.path != png[item.image_id]
    }


def _is_not_rgb(path: Path) -> bool:
    try:
        with opened(path) as (image, _):
            return stored_mode(image) != "RGB"
    except Unusable:
        return False


def find_masks(root: Path, good: Sequence[Checked], beside: Mapping[str, Path]) -> FoundMasks:
    """The masks of good images, from masks/ or, where a set has them there, from `beside` the images.

    Raises LeukoError that names a mask which cannot be read as one.
    """
    folder = root / MASKS
    listed = [file.path for file in list_files(folder)] if folder.is_dir() else []
    files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in listed}
    found: dict[str, Path] = {}
    for image in good:
        mask = beside.get(image.file.path) or files.get(image.file.image_id)
        if mask is not None:
            read_mask(mask, (image.height, image.width))
            found[place_of_mask(image.file.path)] = mask
    used = set(found.values())
    others = [
        Rejected(path.relative_to(root).as_posix(), "is the mask of no image of the set")
        for path in listed
        if path not in used
    ]
    lacking = [image.file.path for image in good if found and place_of_mask(image.file.path) not in found]
    return FoundMasks(found, others, _note(lacking, len(good)))


def _note(lacking: Sequence[str], images: int) -> tuple[str, ...]:
    if not lacking:
        return ()
    return (
        f"{len(lacking)} of {images} images have no mask, e.g. {lacking[0]}: a network that needs masks will refuse "
        f"them, so add {place_of_mask(lacking[0])}",
    )


def mask_file(root: Path, item: Item) -> Path:
    """The file of an image's mask. Raises LeukoError for an image without one."""
    if not item.mask:
        raise LeukoError(f"{root / item.path} has no mask: add {root / place_of_mask(item.path)}, or remove the image")
    return root / item.mask
