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
import tifffile
from PIL import Image, ImageOps

from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.images import decoding
from leukosr.images.decoding import FORMATS, SUFFIXES
from leukosr.images.masks import NUCLEUS, read_hr_mask, write_mask
from leukosr.images.reading import (
    MIN_SIDE,
    ImageFacts,
    fit_to,
    inspect_image,
    read_as_rgb,
    read_hr,
    read_rgb,
    write_png,
)

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


def half_grey_jpeg() -> bytes:
    """As a resumed download leaves it: the second half is missing, the end is there; decoders fill it with grey."""
    content = encoded("JPEG")
    return content[: len(content) // 2] + b"\xff\xd9"


def frames(format_: str) -> bytes:
    buffer = io.BytesIO()
    first, *others = (Image.fromarray(pixels(seed=seed)) for seed in range(3))
    first.save(buffer, format_, save_all=True, append_images=others)
    return buffer.getvalue()


def float_tiff() -> bytes:
    """A sound RGB image of 32-bit floats, as OpenCV writes it."""
    return cv2.imencode(".tif", pixels().astype(np.float32) / 255)[1].tobytes()


def deep_tiff(channels: int, planar: bool) -> bytes:
    """16 bits a channel as ImageJ and OME write them: plane by plane, or pixel by pixel."""
    buffer = io.BytesIO()
    levels = np.random.default_rng(0).integers(0, 65536, (40, 48, channels), dtype=np.uint16)
    stored, kind = (levels.transpose(2, 0, 1), "separate") if planar else (levels, "contig")
    tifffile.imwrite(buffer, stored, photometric="rgb", planarconfig=kind, extrasamples=["unassalpha"][: channels - 3])
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_a_good_image_is_known_by_its_size_and_bytes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cell{suffix}"
    Image.fromarray(pixels(40, 48)).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert inspect_image(path, MAX_PIXELS) == ImageFacts(48, 40, digest, None)


# name, content, what the reason must say
BAD: list[tuple[str, Callable[[], bytes], str]] = [
    ("empty.jpg", lambda: b"", "is empty (0 bytes)"),
    ("text.jpg", lambda: b"not an image\n" * 50, "is not a JPEG: it holds no known image format"),
    ("truncated.jpg", lambda: encoded("JPEG")[:-600], "is corrupt or truncated"),
    ("header.jpg", lambda: encoded("JPEG")[:20], "is a damaged JPEG, or one of a kind"),
    ("truncated.png", lambda: encoded("PNG")[:-600], "is corrupt or truncated"),
    ("gray16.png", lambda: encoded("PNG", Image.fromarray(np.full((40, 40), 40000, np.uint16))), "mode I;16"),
    ("rgb16.png", deep_png, "mode RGB;16"),
    ("cmyk.jpg", lambda: encoded("JPEG", converted("CMYK")), "mode CMYK"),
    ("gray.jpg", lambda: encoded("JPEG", converted("L")), "mode L"),
    ("alpha.png", lambda: encoded("PNG", converted("RGBA")), "mode RGBA"),
    ("palette.png", lambda: encoded("PNG", converted("P")), "mode P"),
    ("bits.png", lambda: encoded("PNG", converted("1")), "mode 1"),
    ("dot.png", lambda: encoded("PNG", Image.new("RGB", (1, 1))), "is 1x1, smaller than 32 pixels"),
    ("strip.png", lambda: encoded("PNG", Image.new("RGB", (400, 31))), "is 31x400, smaller than 32 pixels"),
    ("large.png", lambda: encoded("PNG", Image.new("RGB", (1001, 1000))), "1000x1001 pixels, more than"),
    ("bomb.png", lambda: png_that_claims(10_000, 9_000), "9000x10000 pixels, more than"),
    ("huge.png", lambda: png_that_claims(60_000, 60_000), "has 60000x60000 pixels, more than"),
    ("endless.png", lambda: png_that_claims(2**31 - 1, 2**31 - 1), "has 2147483647x2147483647 pixels, more than"),
    ("other.png", lambda: encoded("JPEG"), "is not a PNG: it holds JPEG"),
    ("program.png", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n{} loop\n", "is not a PNG: it holds EPS"),
    ("half.jpg", half_grey_jpeg, "is corrupt or truncated"),
    ("pages.tif", lambda: frames("TIFF"), "holds 3 frames; save the one that is meant as a file of its own"),
    ("moving.png", lambda: frames("PNG"), "holds 3 frames; save the one that is meant as a file of its own"),
    ("planar.tif", lambda: deep_tiff(3, planar=True), "has mode RGB;16"),
    ("deep.tif", lambda: deep_tiff(3, planar=False), "has mode RGB;16"),
    ("alpha16.tif", lambda: deep_tiff(4, planar=False), "has mode RGBA;16"),
    ("float.tif", float_tiff, "one of a kind that is not read here (unknown pixel mode); save it as 8-bit RGB"),
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
    assert reason in str(facts.reason)


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
    with pytest.raises(LeukoError) as error:
        read_rgb(path)
    assert str(error.value) == f"{path} {inspect_image(path, 10**12).reason}"


def test_an_image_of_just_the_allowed_size_is_good(tmp_path: Path) -> None:
    path = tmp_path / "cell.png"
    Image.new("RGB", (MIN_SIDE, MIN_SIDE)).save(path)
    assert inspect_image(path, MIN_SIDE**2).reason is None
    assert "more than prepare.max_pixels" in str(inspect_image(path, MIN_SIDE**2 - 1).reason)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert inspect_image(tmp_path / "none.png", MAX_PIXELS).reason == "cannot be read (No such file or directory)"
    (tmp_path / "folder.png").mkdir()
    assert "is a folder, pipe or device" in str(inspect_image(tmp_path / "folder.png", MAX_PIXELS).reason)
    with pytest.raises(LeukoError, match=r"none\.png does not exist: put it back"):
        read_rgb(tmp_path / "none.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "none.png")
    with pytest.raises(LeukoError, match=r"link\.png is a link to a file that does not exist$"):
        read_rgb(tmp_path / "link.png")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cell.png"
    path.write_bytes(encoded("PNG"))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user (root?) may read every file; the test below covers the message")
    assert inspect_image(path, MAX_PIXELS).reason == "cannot be read (Permission denied)"


def test_a_file_that_the_system_withholds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def withhold(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "cell.png").write_bytes(encoded("PNG"))
    monkeypatch.setattr(Path, "open", withhold)
    facts = inspect_image(tmp_path / "cell.png", MAX_PIXELS)
    assert facts == ImageFacts(0, 0, "", "cannot be read (Permission denied)")


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


def test_image_crop_is_cut_out_first_and_shrunk_by_area_means(
    tmp_path: Path, compose_params: Callable[..., Params]
) -> None:
    image = compose_params("study=pbc_answer").image
    file = pixels(363, 360)
    write_png(tmp_path / "cell.png", file)
    shrunk = cv2.resize(file[1:361], (256, 256), interpolation=cv2.INTER_AREA)
    assert np.array_equal(read_hr(tmp_path / "cell.png", image), shrunk)
    mask = np.zeros((363, 360), np.uint8)
    mask[100:200, 90:180] = NUCLEUS
    write_mask(tmp_path / "mask.png", mask)
    cut = read_hr_mask(tmp_path / "mask.png", (363, 360), image)
    assert cut.shape == (256, 256) and cut[80, 70] == cut[130, 120] == NUCLEUS
    assert set(np.unique(cut)) == {0, NUCLEUS} and cut[60, 60] == 0


def test_a_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(LeukoError, match=r"40x48 .* smaller than the crop 40x64"):
        fit_to(pixels(40, 48), 40, 64, "center_crop", "opencv_bicubic")


@pytest.mark.parametrize("size", [(64, 48), (33, 47), (320, 240)])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("more", [{"quality": 30}, {"quality": 95, "progressive": True}, {"quality": 75}])
def test_a_jpeg_has_the_pixels_that_pillow_gives(
    tmp_path: Path, size: tuple[int, int], subsampling: str, more: dict[str, Any]
) -> None:
    path = tmp_path / "cell.jpg"
    converted("RGB").resize(size, Image.Resampling.BICUBIC).save(path, subsampling=subsampling, **more)
    with Image.open(path) as expected:
        assert np.array_equal(read_rgb(path), np.asarray(expected))


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path: Path) -> None:
    whole, longer = tmp_path / "whole.jpg", tmp_path / "longer.jpg"
    whole.write_bytes(encoded("JPEG"))
    longer.write_bytes(encoded("JPEG") + b"made by a microscope")
    assert np.array_equal(read_rgb(longer), read_rgb(whole))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_an_image_is_read_upright_everywhere(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"cell{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels(40, 48)).save(path, exif=exif)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert upright.shape[:2] == ((48, 40) if orientation > 4 else (40, 48))
    for read in (read_rgb, read_as_rgb):
        assert np.array_equal(read(path), upright)
    facts = inspect_image(path, MAX_PIXELS)
    assert (facts.height, facts.width) == upright.shape[:2]


def test_damaged_metadata_change_no_pixel(tmp_path: Path) -> None:
    path = tmp_path / "cell.jpg"
    Image.fromarray(pixels()).save(path, exif=b"Exif\0\0II*\0garbage" * 9)
    plain = tmp_path / "plain.jpg"
    Image.fromarray(pixels()).save(plain)
    assert np.array_equal(read_rgb(path), read_rgb(plain))


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK"])
def test_other_modes_of_8_bits_are_converted_where_that_is_asked_for(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("cell.jpg" if mode == "CMYK" else "cell.png")
    converted(mode).save(path)
    with Image.open(path) as image:
        assert np.array_equal(read_as_rgb(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "RGB"])
def test_transparent_pixels_are_refused_as_their_colour_is_unknown(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "cell.png"
    image = converted(mode)
    if mode in ("LA", "RGBA"):
        veil = Image.new("L", image.size, 255)
        veil.putpixel((3, 2), 200)
        image.putalpha(veil)
        image.save(path)
    else:
        image.save(path, transparency=image.getpixel((3, 2)))
    with pytest.raises(LeukoError, match=r"cell\.png has transparent pixels"):
        read_as_rgb(path)
    if mode == "RGB":  # studies take no other mode
        with pytest.raises(LeukoError, match=r"cell\.png has transparent pixels"):
            read_rgb(path)
        assert "has transparent pixels" in str(inspect_image(path, 10**6).reason)


@pytest.mark.parametrize("name", ["gray16.png", "rgb16.png", "planar.tif", "deep.tif", "alpha16.tif"])
def test_more_than_8_bits_are_never_cut_off(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(next(content for other, content, _ in BAD if other == name)())
    with pytest.raises(LeukoError, match="has more than 8 bits per channel"):
        read_as_rgb(path)


def test_a_photograph_with_previews_of_itself_is_the_photograph(tmp_path: Path) -> None:
    path = tmp_path / "cell.jpg"
    preview = Image.fromarray(pixels(10, 12))
    Image.fromarray(pixels()).save(path, "MPO", save_all=True, append_images=[preview])
    with Image.open(path) as image:
        assert image.format == "MPO"
        assert np.array_equal(read_rgb(path), np.asarray(image.convert("RGB")))


def test_a_file_too_large_for_its_pixels_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cell.png"
    path.write_bytes(encoded("PNG"))
    os.truncate(path, 17 * 2**20)  # a sparse file: takes no room on the disk
    monkeypatch.setattr("leukosr.images.reading.whole", lambda _: pytest.fail("was read whole"))
    assert inspect_image(path, MAX_PIXELS).reason == "is 17,825,792 bytes long, more than its 40x48 pixels can need"
    os.truncate(path, 12 * 2**30)
    assert "bytes long, more than any image that is read" in str(inspect_image(path, MAX_PIXELS).reason)


def test_a_jpeg_of_very_many_scans_is_refused(tmp_path: Path) -> None:
    """Each of a few bytes is a pass over all pixels."""
    path = tmp_path / "cell.jpg"
    Image.fromarray(pixels()).save(path, progressive=True)
    content = path.read_bytes()
    last = content[content.rindex(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + last * 300 + content[-2:])
    assert "scans, more than any encoder writes" in str(inspect_image(path, MAX_PIXELS).reason)


def test_frames_are_counted_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_FRAMES", 2)
    (tmp_path / "pages.tif").write_bytes(frames("TIFF"))
    assert str(inspect_image(tmp_path / "pages.tif", MAX_PIXELS).reason).startswith("holds 2 or more frames")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_no_other_parser_of_pillow_sees_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Among them is one that runs a program (EPS), and one for each format that nobody in this field uses."""
    Image.init()
    assert len(Image.OPEN) > 30
    path = tmp_path / f"cell{FORMATS[name][0]}"
    for other, (_, accept) in list(Image.OPEN.items()):
        monkeypatch.setitem(Image.OPEN, other, (lambda *_: pytest.fail("a parser of Pillow was tried"), accept))
    for content in (encoded("GIF"), encoded("EPS"), encoded("WEBP"), b"P6 1 1 255 abc", b"", b"text"):
        path.write_bytes(content)
        assert inspect_image(path, MAX_PIXELS).reason is not None
