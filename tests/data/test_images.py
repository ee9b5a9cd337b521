from __future__ import annotations

import hashlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from leukosr.data.images import MIN_SIDE, SUFFIXES, ImageFacts, fit_to, inspect_image, read_rgb, write_png
from leukosr.errors import LeukoError

MAX_PIXELS = 1_000_000


def pixels(height: int = 40, width: int = 48, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(format_: str, image: Image.Image | None = None) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(pixels())).save(buffer, format_)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises an enormous image."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def deep_png() -> bytes:
    levels = np.random.default_rng(0).integers(0, 65536, (40, 40, 3), dtype=np.uint16)
    return cv2.imencode(".png", levels)[1].tobytes()


def converted(mode: str) -> Image.Image:
    return Image.fromarray(pixels()).convert(mode)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_a_good_image_is_known_by_its_size_and_bytes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cell{suffix}"
    Image.fromarray(pixels(40, 48)).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert inspect_image(path, MAX_PIXELS) == ImageFacts(48, 40, digest, None)


# name, content, what the reason must say
BAD: list[tuple[str, Callable[[], bytes], str]] = [
    ("empty.jpg", lambda: b"", "is empty (0 bytes)"),
    ("text.jpg", lambda: b"not an image\n" * 50, "is not an image, whatever its suffix .jpg says"),
    ("truncated.jpg", lambda: encoded("JPEG")[:-600], "is corrupt or truncated"),
    ("header.jpg", lambda: encoded("JPEG")[:20], "is not an image"),
    ("truncated.png", lambda: encoded("PNG")[:-600], "is corrupt or truncated"),
    ("gray16.png", lambda: encoded("PNG", Image.fromarray(np.full((40, 40), 40000, np.uint16))), "mode I;16"),
    ("rgb16.png", deep_png, "mode RGB;16"),
    ("cmyk.jpg", lambda: encoded("JPEG", converted("CMYK")), "mode CMYK"),
    ("gray.jpg", lambda: encoded("JPEG", converted("L")), "mode L"),
    ("alpha.png", lambda: encoded("PNG", converted("RGBA")), "mode RGBA"),
    ("palette.png", lambda: encoded("PNG", converted("P")), "mode P"),
    ("bits.png", lambda: encoded("PNG", converted("1")), "mode 1"),
    ("dot.png", lambda: encoded("PNG", Image.new("RGB", (1, 1))), "is 1x1, smaller than 32 pixels"),
    ("strip.png", lambda: encoded("PNG", Image.new("RGB", (400, 31))), "is 400x31, smaller than 32 pixels"),
    ("large.png", lambda: encoded("PNG", Image.new("RGB", (1001, 1000))), "1001x1000 pixels, more than"),
    ("bomb.png", lambda: png_that_claims(10_000, 9_000), "10000x9000 pixels, more than"),
    ("huge.png", lambda: png_that_claims(60_000, 60_000), "more pixels than prepare.max_pixels 1000000 allows"),
    ("endless.png", lambda: png_that_claims(2**31 - 1, 2**31 - 1), "prepare.max_pixels 1000000 allows"),
]


@pytest.mark.parametrize(("name", "content", "reason"), BAD, ids=[name for name, _, _ in BAD])
def test_a_bad_file_is_refused_with_its_reason(
    tmp_path: Path, name: str, content: Callable[[], bytes], reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow only warns of some bombs
        facts = inspect_image(path, MAX_PIXELS)
    assert facts.reason is not None
    assert reason in facts.reason
    assert facts.digest == hashlib.sha256(content()).hexdigest()


@pytest.mark.parametrize("name", ["gray16.png", "rgb16.png", "cmyk.jpg", "gray.jpg", "alpha.png", "palette.png"])
def test_another_mode_says_what_to_do_and_is_not_read_either(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(next(content for other, content, _ in BAD if other == name)())
    assert str(inspect_image(path, MAX_PIXELS).reason).endswith("convert it to 8-bit RGB")
    with pytest.raises(LeukoError, match="convert it to 8-bit RGB") as error:
        read_rgb(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["empty.jpg", "text.jpg", "truncated.jpg", "truncated.png", "huge.png"])
def test_reading_a_bad_file_names_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(next(content for other, content, _ in BAD if other == name)())
    with pytest.raises(LeukoError, match="cannot be read as an image") as error:
        read_rgb(path)
    assert str(path) in str(error.value)


def test_an_image_of_just_the_allowed_size_is_good(tmp_path: Path) -> None:
    path = tmp_path / "cell.png"
    Image.new("RGB", (MIN_SIDE, MIN_SIDE)).save(path)
    assert inspect_image(path, MIN_SIDE**2).reason is None
    assert "more than prepare.max_pixels" in str(inspect_image(path, MIN_SIDE**2 - 1).reason)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert inspect_image(tmp_path / "none.png", MAX_PIXELS).reason == "cannot be read (No such file or directory)"
    assert inspect_image(tmp_path, MAX_PIXELS).reason == "cannot be read (Is a directory)"
    with pytest.raises(LeukoError, match="does not exist"):
        read_rgb(tmp_path / "none.png")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cell.png"
    path.write_bytes(encoded("PNG"))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user (root?) may read every file; the test below covers the message")
    assert inspect_image(path, MAX_PIXELS).reason == "cannot be read (Permission denied)"


def test_a_file_that_the_system_withholds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def withhold(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", withhold)
    facts = inspect_image(tmp_path / "cell.png", MAX_PIXELS)
    assert facts == ImageFacts(0, 0, "", "cannot be read (Permission denied)")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["JPEG", "PNG", "BMP", "TIFF"]),
    st.integers(0, 6000),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_damage_makes_the_inspection_fail(
    tmp_path: Path, format_: str, length: int, damage: list[tuple[int, int]]
) -> None:
    content = bytearray(encoded(format_)[: length + 1])
    for place, value in damage:
        content[place % len(content)] = value
    path = tmp_path / f"cell.{format_.lower()}"
    path.write_bytes(content)
    if inspect_image(path, MAX_PIXELS).reason is None:
        image = read_rgb(path)  # what passed the inspection can be read
        assert (image.dtype, image.shape[2]) == (np.uint8, 3)


def test_a_png_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.b.png"
    write_png(path, pixels())
    assert np.array_equal(read_rgb(path), pixels())


def test_an_image_of_the_right_size_is_not_touched() -> None:
    image = pixels(40, 48)
    for fit in ("resize", "center_crop"):
        assert fit_to(image, 40, 48, fit, "opencv_bicubic") is image


@pytest.mark.parametrize("kernel", ["opencv_bicubic", "pillow_bicubic"])
def test_resizing_gives_the_size(kernel: str) -> None:
    assert fit_to(pixels(40, 48), 32, 64, "resize", kernel).shape == (32, 64, 3)  # type: ignore[arg-type]


def test_the_crop_is_the_middle() -> None:
    image = pixels(363, 360)
    assert np.array_equal(fit_to(image, 360, 360, "center_crop", "opencv_bicubic"), image[1:361])
    assert np.array_equal(fit_to(image, 353, 350, "center_crop", "opencv_bicubic"), image[5:358, 5:355])


def test_a_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(LeukoError, match=r"40x48 .* smaller than the crop 40x64"):
        fit_to(pixels(40, 48), 40, 64, "center_crop", "opencv_bicubic")


@pytest.mark.parametrize("size", [(64, 48), (33, 47), (320, 240)])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("more", [{"quality": 30}, {"quality": 95, "progressive": True}, {"quality": 75, "exif": True}])
def test_a_jpeg_has_the_pixels_that_pillow_gives(
    tmp_path: Path, size: tuple[int, int], subsampling: str, more: dict[str, Any]
) -> None:
    path = tmp_path / "cell.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees, which neither of the two may follow
    image = converted("RGB").resize(size, Image.Resampling.BICUBIC)
    image.save(path, subsampling=subsampling, **{**more, **({"exif": exif} if more.get("exif") else {})})
    with Image.open(path) as expected:
        assert np.array_equal(read_rgb(path), np.asarray(expected))


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path: Path) -> None:
    whole, longer = tmp_path / "whole.jpg", tmp_path / "longer.jpg"
    whole.write_bytes(encoded("JPEG"))
    longer.write_bytes(encoded("JPEG") + b"made by a microscope")
    assert np.array_equal(read_rgb(longer), read_rgb(whole))
