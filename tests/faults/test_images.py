"""Files of others that call themselves images: refused in one sentence, or read right; nothing else."""

from __future__ import annotations

import io
import os
import re
import resource
import struct
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from tests.faults.hostile_images import Outcome, encoded, exif, hostile_images, pixels
from tests.faults.tally import Tally

from leukosr.errors import LeukoError
from leukosr.images.decoding import FORMAT_OF, FORMATS
from leukosr.images.reading import inspect_image, read_as_rgb, read_rgb

MAX_PIXELS = 50_000_000
SECONDS = 20  # of processor time, which a busy machine does not lengthen; an image of 50 million pixels takes two
MEMORY = 2 * 2**30  # bytes beside what the process has


@pytest.fixture(autouse=True)
def _no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    for place, name in ((subprocess, "Popen"), (os, "system"), (os, "posix_spawn"), (os, "fork"), (os, "popen")):
        monkeypatch.setattr(place, name, start)


@contextmanager
def bounded() -> Iterator[None]:
    """Allow so much memory and time; more memory is a MemoryError."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    started = time.process_time()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.process_time() - started < SECONDS


def by_pillow(content: bytes, suffix: str) -> np.ndarray | None:
    """What Pillow makes of the bytes, upright and as RGB; None where it refuses them."""
    name = FORMAT_OF.get(suffix.lower(), "")
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(content), formats=[name]) as image:
            image.load()
            with suppress(Exception):  # damaged EXIF
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            return np.asarray(image.convert("RGB"))
    return None


def refused(read: Callable[[Path], np.ndarray], path: Path) -> bool:
    try:
        found = read(path)
    except LeukoError as error:
        assert str(error).startswith(f"{path} ")
        assert "\n" not in str(error)
        assert len(str(error)) < len(str(path)) + 250
        return True
    expected = by_pillow(path.read_bytes(), path.suffix)
    assert found.dtype == np.uint8
    assert expected is not None and np.array_equal(found, expected), "other pixels than Pillow's"
    return False


def look(path: Path, outcome: Outcome = "either") -> None:
    """Read a file as `prepare` and `enhance` do, and compare with Pillow and with what is to become of it."""
    with bounded():
        facts = inspect_image(path, MAX_PIXELS)
        of_studies, of_enhance = refused(read_rgb, path), refused(read_as_rgb, path)
    if facts.reason is None:
        assert not of_studies, "what was inspected cannot be read"
    elif of_studies:
        assert of_enhance or "mode" in facts.reason, "enhance reads more than other modes"
    outcomes = {"read": (False, False), "small": (False, False), "converted": (True, False), "refused": (True, True)}
    if outcome != "either":
        assert (of_studies, of_enhance) == outcomes[outcome], facts.reason
        assert (facts.reason is None) == (outcome == "read"), facts.reason


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_hostile_images(tally: Tally, tmp_path: Path) -> None:
    tally.kind = "hostile images"
    for item in hostile_images():
        path = tmp_path / item.name
        path.write_bytes(item.content)
        with tally.trial(item.name):
            look(path, item.outcome)
        path.unlink()
    assert tally.tried >= 200


# what formats that Pillow reads and does not write, or not without a handler, begin with
BEGINNINGS = {
    "BUFR": b"BUFR", "CUR": b"\0\0\2\0", "DCX": b"\xb1\x68\xde\x3a", "FITS": b"SIMPLE  =                    T",
    "FLI": b"\0\0\0\0\x11\xaf" + bytes(9), "FTEX": b"FTEX", "GBR": struct.pack(">II", 28, 2), "GRIB": b"GRIB\0\0\0\1",
    "HDF5": b"\x89HDF\r\n\x1a\n", "IMT": b"*width 10\n\x0c", "IPTC": b"\x1c\x03\x3c\0\2", "MCIDAS": bytes(7) + b"\4",
    "MPEG": b"\0\0\1\xb3", "PCD": b"PCD_" * 600, "PIXAR": b"\x80\xe8\0\0", "PSD": b"8BPS\0\1", "SUN": b"Y\xa6j\x95",
    "WMF": b"\xd7\xcd\xc6\x9a\0\0", "XPM": b"/* XPM */", "XVTHUMB": b"P7 332",
}  # fmt: skip


def beginning(name: str) -> bytes:
    if name in BEGINNINGS:
        return BEGINNINGS[name] + bytes(200)
    for mode in ("RGB", "P", "1", "RGBA", "F"):
        with suppress(Exception):
            return encoded(name, Image.fromarray(pixels()).convert(mode))
    raise AssertionError(f"how does a file of the format {name} begin?")


def test_no_parser_of_pillow_but_four_sees_a_file(
    tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally.kind = "other formats under the suffix of an image"
    Image.init()
    called: list[str] = []
    for name, (_, accept) in list(Image.OPEN.items()):
        if name not in FORMATS:

            def spy(*given: object, name: str = name) -> None:
                called.append(name)

            monkeypatch.setitem(Image.OPEN, name, (spy, accept))
    contents = {name: beginning(name) for name in set(Image.ID) - set(FORMATS)}
    for name, content in sorted(contents.items()):
        for suffix in (".png", ".jpg", ".bmp", ".tif"):
            path = tmp_path / f"{name}{suffix}"
            path.write_bytes(content)
            with tally.trial(path.name):
                look(path, "refused")
                assert called == []
                assert f"{path.name} is not a {FORMAT_OF[suffix]}: it holds" in reason_of(path)
    assert tally.tried > 100


def reason_of(path: Path) -> str:
    return f"{path.name} {inspect_image(path, MAX_PIXELS).reason}"


def test_postscript_runs_nothing(tally: Tally, tmp_path: Path) -> None:
    tally.kind = "programs under the suffix of an image"
    marker = tmp_path / "MARKER"
    for body in (f"({marker}) (w) file closefile\nshowpage", "{} loop", "(%pipe%touch MARKER) (w) file"):
        program = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n{body}\n%%EOF\n".encode()
        preview = b"\xc5\xd0\xd3\xc6" + struct.pack("<6I", 30, len(program), 0, 0, 0, 0) + b"\xff\xff" + program
        for content in (program, preview):
            for suffix in (".png", ".jpg", ".bmp", ".tif", ".eps", ".ps", ".PNG"):
                path = tmp_path / f"cell{suffix}"
                path.write_bytes(content)
                with tally.trial(f"{body}{suffix}"):
                    look(path, "refused")
                    assert not marker.exists()


def test_what_is_no_file_is_not_opened(tally: Tally, tmp_path: Path) -> None:
    tally.kind = "pipes, devices, folders, links and sparse files"
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name, target in (("self", "self.png"), ("zero", "/dev/zero"), ("text", __file__), ("nowhere", "nowhere")):
        (tmp_path / f"{name}.png").symlink_to(target)
    good = encoded("PNG")
    for name, start, length in (("zeros", b"", 2**33), ("good", good, 2**33), ("long", good, 17 * 2**20)):
        (tmp_path / f"{name}.png").write_bytes(start)
        os.truncate(tmp_path / f"{name}.png", length)
    for path in sorted(tmp_path.iterdir()):
        with tally.trial(path.name), bounded():
            assert inspect_image(path, MAX_PIXELS).reason is not None
            for read in (read_rgb, read_as_rgb):
                with pytest.raises(LeukoError, match=re.escape(str(path))):
                    read(path)


def valid_files() -> dict[str, bytes]:
    """Small files of every kind of coding that is read."""
    small = pixels(9, 11)
    colour, grey = Image.fromarray(small), Image.fromarray(small).convert("L")
    turned = exif(6)
    files = {
        "a.png": encoded("PNG", colour), "grey.png": encoded("PNG", grey),
        "turned.png": encoded("PNG", colour, exif=turned),
        "palette.png": encoded("PNG", colour.convert("P")), "alpha.png": encoded("PNG", colour.convert("RGBA")),
        "a.jpg": encoded("JPEG", colour), "turned.jpg": encoded("JPEG", colour, exif=turned),
        "progressive.jpg": encoded("JPEG", colour, progressive=True), "grey.jpg": encoded("JPEG", grey),
        "restarts.jpg": encoded("JPEG", colour, restart_marker_blocks=1),
        "cmyk.jpg": encoded("JPEG", colour.convert("CMYK")), "a.bmp": encoded("BMP", colour),
        "palette.bmp": encoded("BMP", colour.convert("P")), "a.tif": encoded("TIFF", colour),
        "turned.tif": encoded("TIFF", colour, exif=turned),
    }  # fmt: skip
    for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        files[f"{name}.tif"] = encoded("TIFF", colour, compression=name)
    return files


VALID = valid_files()
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=4)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_bytes(tally: Tally, tmp_path: Path, sample: Callable[[int, int], int]) -> None:
    tally.kind = "damaged bytes of images"

    @settings(max_examples=sample(30_000, 1_000), deadline=None, database=None)
    @given(st.sampled_from(sorted(VALID)), st.floats(0, 1), st.booleans(), EDITS)
    def probe(name: str, kept: float, cut: bool, edits: list[tuple[float, bytes]]) -> None:
        tally.tried += 1
        content = bytearray(VALID[name])
        for place, values in edits:
            start = int(place * len(content))
            content[start : start + len(values)] = values
        path = tmp_path / name
        path.write_bytes(content[: int(kept * len(content))] if cut else content)
        look(path)

    with tally.trial("every example"):
        probe()
    tally.tried -= 1  # the trial around them
