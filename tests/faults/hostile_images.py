"""Image files that are hostile, broken or odd, each with what is to become of it."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tifffile
from PIL import Image, ImageCms

# read: by all; small: read, but not a part of a set; converted: by enhance alone; refused: by all; either: refused, or
# the pixels that Pillow gives
Outcome = Literal["read", "small", "converted", "refused", "either"]
HEIGHT, WIDTH = 40, 48


@dataclass(frozen=True)
class Hostile:
    """One file."""

    name: str
    content: bytes
    outcome: Outcome


def pixels(height: int = HEIGHT, width: int = WIDTH, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Noise over a smooth ramp, uint8."""
    ramp = np.linspace(40, 200, width)[None, :, None] + np.linspace(-20, 20, height)[:, None, None]
    noise = np.random.default_rng(seed).integers(-15, 15, (height, width, channels))
    return (ramp + noise).clip(0, 255).astype(np.uint8)


def encoded(format_: str, image: Image.Image | np.ndarray | None = None, **options: Any) -> bytes:
    """An image as a file."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(pixels() if image is None else image)
    buffer = io.BytesIO()
    picture.save(buffer, format_, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *before: bytes) -> bytes:
    """A PNG that says what it likes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def plain_png(*before: bytes) -> bytes:
    """A good PNG with chunks before its pixels."""
    return png(WIDTH, HEIGHT, 8, 2, b"".join(b"\0" + row.tobytes() for row in pixels()), *before)


def tiff(levels: np.ndarray, **options: Any) -> bytes:
    """An array as a TIFF, as scientific software writes it."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, levels, **options)
    return buffer.getvalue()


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header promises another size."""
    place = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]


def exif(orientation: int) -> Image.Exif:
    """EXIF data that turn an image."""
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def hostile_images() -> Iterator[Hostile]:
    """All of them, in a fixed order."""
    for make in (_good, _damaged, _of_other_kinds, _deep, _with_frames, _of_odd_modes, _bombs, _with_metadata):
        yield from make()


def _good() -> Iterator[Hostile]:
    for format_, suffix in (("PNG", "png"), ("BMP", "bmp"), ("TIFF", "tif"), ("JPEG", "jpg"), ("TIFF", "TIFF")):
        yield Hostile(f"good.{suffix}", encoded(format_), "read")
    yield Hostile("progressive.jpeg", encoded("JPEG", progressive=True, quality=90), "read")
    yield Hostile("optimised.jpeg", encoded("JPEG", subsampling=0, optimize=True), "read")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield Hostile(f"{compression}.tif", encoded("TIFF", compression=compression), "read")
    yield Hostile("planar.tif", tiff(pixels().transpose(2, 0, 1), photometric="rgb", planarconfig="separate"), "read")
    yield Hostile("big.tif", tiff(pixels(), photometric="rgb", bigtiff=True), "read")
    yield Hostile("page.png", encoded("PNG") + b"<script>alert(1)</script>PK\x03\x04", "read")
    yield Hostile("page.jpg", encoded("JPEG") + b"<html><script>alert(1)</script>", "read")
    for turn in range(1, 9):
        yield Hostile(f"turned{turn}.jpg", encoded("JPEG", exif=exif(turn)), "read")
        yield Hostile(f"turned{turn}.png", encoded("PNG", exif=exif(turn)), "read")
        yield Hostile(f"turned{turn}.tif", encoded("TIFF", exif=exif(turn)), "read")


def _damaged() -> Iterator[Hostile]:
    for suffix, whole in (("png", encoded("PNG")), ("jpg", encoded("JPEG")), ("tif", encoded("TIFF"))):
        for length in (0, 1, 2, 3, 8, 20, 33, 50, len(whole) // 2):
            yield Hostile(f"cut{length}.{suffix}", whole[:length], "refused")
        for missing in (40, 13, 5, 2, 1):
            yield Hostile(f"lacks{missing}.{suffix}", whole[:-missing], "either")
    jpeg, progressive = encoded("JPEG"), encoded("JPEG", progressive=True)
    for name, whole in (("half", jpeg), ("half-progressive", progressive)):
        for length in (len(whole) // 3, len(whole) * 3 // 4, len(whole) - 12):
            yield Hostile(f"{name}{length}.jpg", whole[:length] + b"\xff\xd9", "refused")
    middle = len(jpeg) // 2
    yield Hostile("overwritten.jpg", jpeg[:middle] + b"\xaa" * 60 + jpeg[middle + 60 :], "either")
    yield Hostile("arithmetic.jpg", jpeg.replace(b"\xff\xc0", b"\xff\xc9", 1), "refused")
    yield Hostile("no-tables.jpg", jpeg.replace(b"\xff\xc4", b"\xff\xee"), "either")
    yield Hostile(
        "rotten.png", bytes([*encoded("PNG")[:900], encoded("PNG")[900] ^ 255, *encoded("PNG")[901:]]), "refused"
    )
    yield Hostile("empty-rows.png", png(WIDTH, HEIGHT, 8, 2, b""), "refused")
    yield Hostile("few-rows.png", png(WIDTH, HEIGHT, 8, 2, b"\0" * (1 + 3 * WIDTH) * 9), "refused")
    yield Hostile("no-header.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", zlib.compress(b"\0" * 99)), "refused")
    yield Hostile("endless-list.tif", b"II*\0\x08\0\0\0" + struct.pack("<HI", 0, 8), "refused")
    yield Hostile("far-away.tif", b"II*\0" + struct.pack("<I", 2**32 - 1), "refused")
    yield Hostile("many-tags.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + os.urandom(2000), "refused")
    yield Hostile("zeros.png", bytes(5000), "refused")


def _of_other_kinds() -> Iterator[Hostile]:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    contents = {
        "jpeg.png": encoded("JPEG"), "png.jpg": encoded("PNG"), "bmp.tif": encoded("BMP"), "tiff.bmp": encoded("TIFF"),
        "webp.png": encoded("WEBP"), "gif.png": encoded("GIF"), "ico.bmp": encoded("ICO"), "avif.jpg": encoded("AVIF"),
        "jp2.jpg": encoded("JPEG2000"), "text.png": b"not an image\n" * 50, "zip.png": b"PK\x03\x04" + bytes(99),
        "pdf.jpg": b"%PDF-1.7\n", "elf.png": b"\x7fELF" + bytes(99), "hdf.tif": b"\x89HDF\r\n\x1a\n" + bytes(99),
        "heic.jpg": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "svg.png": svg, "page.jpg": b"<!doctype html><p>",
    }  # fmt: skip
    for name, content in contents.items():
        yield Hostile(f"really-{name}", content, "refused")
    for name in ("a.webp", "a.gif", "a.svg", "a.eps", "a.heic", "a.dcm", "a", "a.png.exe", "a.png "):
        yield Hostile(f"named-{name}", encoded("PNG"), "refused")


def _deep() -> Iterator[Hostile]:
    random = np.random.default_rng(0)
    levels = {n: random.integers(0, 65536, (HEIGHT, WIDTH, n), dtype=np.uint16) for n in (1, 2, 3, 4)}
    for colour, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels[channels])
        yield Hostile(f"deep{channels}.png", png(WIDTH, HEIGHT, 16, colour, rows), "refused")
    alpha: dict[str, Any] = {"extrasamples": ["unassalpha"]}
    for compression in (None, "zlib"):
        options: dict[str, Any] = {"compression": compression, "photometric": "rgb"}
        for order in ("<", ">"):
            name = f"{compression}{'le' if order == '<' else 'be'}"
            yield Hostile(f"deep-{name}.tif", tiff(levels[3], byteorder=order, **options), "refused")
            yield Hostile(f"deep-alpha-{name}.tif", tiff(levels[4], byteorder=order, **options, **alpha), "refused")
            apart = levels[3].transpose(2, 0, 1)
            planar = tiff(apart, byteorder=order, planarconfig="separate", **options)
            yield Hostile(f"deep-planar-{name}.tif", planar, "refused")
    yield Hostile("deep-grey.tif", tiff(levels[1][..., 0], photometric="minisblack"), "refused")
    yield Hostile("long.tif", tiff(levels[1][..., 0].astype(np.uint32), photometric="minisblack"), "refused")
    yield Hostile("signed.tif", tiff(levels[1][..., 0].astype(np.int16), photometric="minisblack"), "refused")
    real = random.random((HEIGHT, WIDTH, 3), dtype=np.float32)
    real[0, 0] = np.nan
    yield Hostile("float.tif", tiff(real, photometric="rgb"), "refused")
    yield Hostile("float-grey.tif", tiff(real[..., 0], photometric="minisblack"), "refused")
    yield Hostile("twelve-bits.jpg", _twelve_bits(), "refused")


def _twelve_bits() -> bytes:
    jpeg = encoded("JPEG")
    place = jpeg.index(b"\xff\xc0") + 4
    return jpeg[:place] + b"\x0c" + jpeg[place + 1 :]


def _with_frames() -> Iterator[Hostile]:
    first, *others = (Image.fromarray(pixels(seed=seed)) for seed in range(3))
    for name, format_ in (("moving.png", "PNG"), ("pages.tif", "TIFF")):
        yield Hostile(name, encoded(format_, first, save_all=True, append_images=others), "refused")
    yield Hostile("stack.tif", tiff(np.stack([pixels(seed=i) for i in range(5)]), photometric="rgb"), "refused")
    yield Hostile("previews.jpg", encoded("MPO", first, save_all=True, append_images=others), "read")
    many = chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield Hostile("very-many.png", plain_png(many), "refused")
    yield Hostile("no-frames.png", plain_png(chunk(b"acTL", struct.pack(">II", 0, 0))), "either")
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, WIDTH, HEIGHT, 0, 0, 1, 1, 0, 0))
    yield Hostile("one-frame.png", plain_png(chunk(b"acTL", struct.pack(">II", 1, 0)), control), "either")
    yield Hostile("other-image.png", plain_png(chunk(b"acTL", struct.pack(">II", 1, 0))), "refused")
    page = tiff(pixels(), photometric="rgb")
    yield Hostile("loop.tif", _next_page(page, 8), "either")
    yield Hostile("next-page-nowhere.tif", _next_page(page, len(page) + 5000), "refused")


def _next_page(content: bytes, place: int) -> bytes:
    """A TIFF of one page whose list of pages goes on elsewhere."""
    first = struct.unpack_from("<I", content, 4)[0]
    after = first + 2 + 12 * struct.unpack_from("<H", content, first)[0]
    return content[:after] + struct.pack("<I", place) + content[after + 4 :]


def _of_odd_modes() -> Iterator[Hostile]:
    colour = Image.fromarray(pixels())
    for mode in ("L", "LA", "RGBA", "P", "1"):
        yield Hostile(f"{mode}.png", encoded("PNG", colour.convert(mode)), "converted")
    for mode in ("L", "CMYK"):
        yield Hostile(f"{mode}.jpg", encoded("JPEG", colour.convert(mode)), "converted")
        half = encoded("JPEG", colour.convert(mode))
        yield Hostile(f"half-{mode}.jpg", half[: len(half) // 2] + b"\xff\xd9", "refused")
    for mode in ("L", "LA", "RGBA", "P", "1", "CMYK"):
        yield Hostile(f"{mode}.tif", encoded("TIFF", colour.convert(mode)), "converted")
    for mode in ("L", "P", "1"):
        yield Hostile(f"{mode}.bmp", encoded("BMP", colour.convert(mode)), "converted")
    yield Hostile("lab.tif", encoded("TIFF", colour.convert("LAB")), "converted")
    yield Hostile("one-colour-clear.png", encoded("PNG", transparency=(1, 2, 3)), "read")
    for width, height in ((1, 1), (1, 64), (64, 1), (31, 400)):
        yield Hostile(f"{width}x{height}.png", encoded("PNG", pixels(height, width)), "small")
    yield Hostile("no-width.png", png(0, HEIGHT, 8, 2, b"\0" * HEIGHT), "refused")
    yield Hostile("thread.png", encoded("PNG", pixels(32, 40_000)), "read")


def _bombs() -> Iterator[Hostile]:
    for side in (10_000, 60_000, 2**31 - 1):
        yield Hostile(f"claims{side}.png", png(side, side, 8, 2, bytes(1000)), "refused")
    for side in (9_500, 65_500):
        yield Hostile(f"claims{side}.jpg", with_size(encoded("JPEG"), side, side), "refused")
    huge = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 154, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 100, 0, 0, 0, 0)
    yield Hostile("claims.bmp", huge + bytes(100), "refused")
    packed = zlib.compress(b"x" * 50_000_000)
    yield Hostile("text-bomb.png", plain_png(chunk(b"zTXt", b"a\0\0" + packed)), "either")
    yield Hostile("profile-bomb.png", plain_png(chunk(b"iCCP", b"p\0\0" + packed)), "either")
    progressive = encoded("JPEG", progressive=True)
    last = progressive[progressive.rindex(b"\xff\xda") : -2]
    yield Hostile("scans.jpg", progressive[:-2] + last * 5000 + b"\xff\xd9", "refused")
    yield Hostile("blank.jpg", encoded("JPEG") + b" " * 17 * 2**20, "refused")
    yield Hostile("pages-without-end.tif", _chain(3000), "refused")
    yield Hostile("one-value-many-times.tif", _overlapping(2000), "refused")


def _chain(pages: int) -> bytes:
    """A TIFF of very many pages, all of one and the same image."""
    page = tiff(pixels(), photometric="rgb")
    first = struct.unpack_from("<I", page, 4)[0]
    size = 2 + 12 * struct.unpack_from("<H", page, first)[0] + 4
    start = len(page) + len(page) % 2
    content = bytearray(_next_page(page, start)).ljust(start, b"\0")
    for number in range(pages):
        after = start + (number + 1) * size if number < pages - 1 else 0
        content += page[first : first + size - 4] + struct.pack("<I", after)
    return bytes(content)


def _overlapping(tags: int) -> bytes:
    """A TIFF whose tags all hold the whole file."""
    length = 8 + 2 + 12 * tags + 4 + 100_000
    entries = b"".join(struct.pack("<HHII", 30_000 + i, 1, length - 8, 8) for i in range(tags))
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", tags) + entries + bytes(4)).ljust(length, b"\0")


def _with_metadata() -> Iterator[Hostile]:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for name, profile in (("lab", lab), ("garbage", b"garbage" * 10)):
        for suffix, format_ in (("png", "PNG"), ("jpg", "JPEG"), ("tif", "TIFF")):
            yield Hostile(f"profile-{name}.{suffix}", encoded(format_, icc_profile=profile), "read")
    broken: list[Callable[[], bytes]] = [
        lambda: b"Exif\0\0" + b"garbage" * 99,
        lambda: b"Exif\0\0II*\0\xff\xff\xff\xff",
        lambda: b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(60),
        lambda: exif(99).tobytes(),
        lambda: exif(0).tobytes(),
        lambda: b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHI4s", 1, 0x0112, 2, 4, b"abc\0") + bytes(4),
    ]
    for number, make in enumerate(broken):
        yield Hostile(f"exif{number}.jpg", encoded("JPEG", exif=make()), "read")
        yield Hostile(f"exif{number}.png", plain_png(chunk(b"eXIf", make()[6:])), "read")
    turning = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + turning
    yield Hostile("xmp.png", plain_png(chunk(b"iTXt", text)), "read")
    late = plain_png()
    yield Hostile("late-exif.png", late[:-12] + chunk(b"eXIf", exif(6).tobytes()[6:]) + late[-12:], "read")
    yield Hostile("late-xmp.png", late[:-12] + chunk(b"iTXt", text) + late[-12:], "read")
