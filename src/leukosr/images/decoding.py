"""Decoding untrusted image files: the one place where the project opens them."""

from __future__ import annotations

import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import simplejpeg
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

FORMATS = {"BMP": (".bmp",), "JPEG": (".jpeg", ".jpg"), "PNG": (".png",), "TIFF": (".tif", ".tiff")}
FORMAT_OF = {suffix: name for name, suffixes in FORMATS.items() for suffix in suffixes}
SUFFIXES = frozenset(FORMAT_OF)
NO_IMAGE = f"is not an image file; accepted are {', '.join(sorted(SUFFIXES))}"
MAX_PIXELS = 2**30 // 12  # above it Pillow warns of a decompression bomb
BYTES_PER_PIXEL = 8  # the most in a file: 16-bit RGBA
BESIDE_PIXELS = 16 * 2**20  # bytes for metadata, thumbnails, the short film of a phone
MAX_SCANS = 200  # of a JPEG: encoders write up to a dozen, and each is a pass over all pixels
MAX_FRAMES = 1000  # that are counted
OTHER_KIND = "unknown pixel mode"  # what Pillow says of a sound TIFF that it does not read, e.g. one of 32-bit floats

# decoders warn without the name of the file: what matters becomes an error here
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)

# Four parsers, called by name. Image.open would try all of Pillow's, and that of PostScript runs a program.
_PARSERS: dict[str, Callable[[BinaryIO, str], ImageFile.ImageFile]] = {
    "BMP": BmpImagePlugin.BmpImageFile,
    "JPEG": JpegImagePlugin.jpeg_factory,
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
_ORIENTATION = 0x0112  # the EXIF tag, and how an image that has it is turned upright
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


class Unusable(Exception):
    """Why a file cannot be used: a clause that follows its name."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[ImageFile.ImageFile, BinaryIO]]:
    """The parsed header of an image, and its file to read on from.

    Raises Unusable for a file that is not what its suffix says, larger than it can need to be, or damaged; errors of
    decoders that are called meanwhile become Unusable, too.
    """
    try:
        name = FORMAT_OF.get(path.suffix.lower())
        status = path.stat()
        if name is None or not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
            raise Unusable(NO_IMAGE if name is None else "is a folder, pipe or device, not a file")
        if status.st_size > MAX_PIXELS * BYTES_PER_PIXEL + BESIDE_PIXELS:
            raise Unusable(f"is {status.st_size:,} bytes long, more than any image that is read")
        with path.open("rb") as file:
            image = _header(file, name)
            size, pixels = f"{image.height}x{image.width}", image.width * image.height
            if pixels > MAX_PIXELS:
                raise Unusable(f"has {size} pixels, more than the {MAX_PIXELS} that are read")
            if status.st_size > pixels * BYTES_PER_PIXEL + BESIDE_PIXELS:
                raise Unusable(f"is {status.st_size:,} bytes long, more than its {size} pixels can need")
            yield image, file
    except (Unusable, MemoryError):
        raise
    except OSError as error:  # Pillow's own have no number
        damage = f"is corrupt or truncated ({error})"
        raise Unusable(damage if error.errno is None else f"cannot be read ({error.strerror})") from None
    except Exception as error:  # parsers raise all kinds on hostile bytes
        text = " ".join(str(error).split())[:200]
        raise Unusable(f"is corrupt or truncated ({text or type(error).__name__})") from None


def _header(file: BinaryIO, name: str) -> ImageFile.ImageFile:
    start = file.read(16)
    if not start:
        raise Unusable("is empty (0 bytes)")
    accept = Image.OPEN[name][1]
    if accept is None or not accept(start):
        raise Unusable(f"is not a {name}: it holds {format_of(start)}")
    file.seek(0)
    try:
        image = _PARSERS[name](file, "")
    except SyntaxError as error:
        if error.__cause__ is not None and str(error) != OTHER_KIND:  # of bytes that Pillow missed
            raise Unusable("is corrupt or truncated (in its header)") from None
        kind = f"is a damaged {name}, or one of a kind that is not read here ({error})"
        raise Unusable(f"{kind}; save it as 8-bit RGB") from None
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a JPEG with previews of itself behind it
        raise Unusable(f"holds {_count_frames(image)} frames; save the one that is meant as a file of its own")
    return image


def format_of(start: bytes) -> str:
    """The format that Pillow detects by a file's first bytes, without parsing it."""
    Image.init()
    for name, (_, accept) in Image.OPEN.items():
        with suppress(Exception):  # some expect more bytes
            if accept is not None and accept(start) is True:
                return name
    return "no known image format"


def _count_frames(image: ImageFile.ImageFile) -> str:
    if isinstance(image, PngImagePlugin.PngImageFile):
        return str(image.n_frames)
    for frame in range(1, MAX_FRAMES):
        try:
            image.seek(frame)
        except EOFError:
            return str(frame)
    return f"{MAX_FRAMES} or more"


def stored_mode(image: ImageFile.ImageFile) -> str:
    """Pillow's mode, with `;16` for more than 8 bits per channel: of some images Pillow drops the rest silently."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        deep = max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) > 8
    else:
        deep = image.format == "PNG" and ";16" in str(image.tile)
    return f"{image.mode};16" if deep and image.mode not in ("I", "F", "I;16") else image.mode


def whole(file: BinaryIO) -> bytes:
    """The content of an opened file."""
    file.seek(0)
    return file.read()


def decode(image: ImageFile.ImageFile, content: bytes) -> np.ndarray:
    """Decode the file `content` whose header is `image`: the pixels that Pillow gives, uint8 RGB, upright.

    TurboJPEG and OpenCV decode faster, and refuse files whose missing parts Pillow fills with grey or black.
    """
    if image.format in ("JPEG", "MPO"):
        if (scans := content.count(b"\xff\xda")) > MAX_SCANS:
            raise Unusable(f"has {scans} scans, more than any encoder writes; save it again")
        pixels = simplejpeg.decode_jpeg(content, {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}[image.mode])
    elif image.format == "PNG":
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
        if pixels is None:
            raise Unusable("is corrupt or truncated")
        if _has_metadata_behind(content):
            image.load()  # their orientation is known then
    else:
        pixels = None
    if pixels is None or image.mode != "RGB":
        # a copy: torch warns of memory that is Pillow's
        pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    turn = _TURNS.get(_orientation(image))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _has_metadata_behind(png: bytes) -> bool:
    """Whether chunks after the pixels may rotate the image; those before them are in Pillow's header."""
    position = behind = 8
    while (kind := png[position + 4 : position + 8]) not in (b"", b"IEND"):
        position += 12 + int.from_bytes(png[position : position + 4])
        behind = position if kind == b"IDAT" else behind
    return any(name in png[behind:position] for name in (b"eXIf", b"exif", b"xmp"))


def _orientation(image: ImageFile.ImageFile) -> int:
    """The EXIF orientation; 1, upright, where there is none, and of a TIFF, which Pillow has turned itself."""
    if not any(key in image.info for key in ("exif", "xmp", "Raw profile type exif")):
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # as viewers do, show an image with damaged metadata as it is stored
        return 1
