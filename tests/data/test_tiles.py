"""Cutting large images into tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukosr.data.tiles import cut_folder
from leukosr.errors import LeukoError
from leukosr.images.reading import read_rgb


def saved(path: Path, height: int, width: int) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_tiles_are_the_pixels_of_the_image_under_its_name_and_what_is_left_is_counted(tmp_path: Path) -> None:
    pixels = saved(tmp_path / "in" / "a" / "one.tif", 70, 100)
    cut = cut_folder(tmp_path / "in", tmp_path / "out", (32, 48))
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert names == [f"a/one_y{y:04d}_x{x:04d}.png" for y in (0, 32) for x in (0, 48)]
    assert np.array_equal(read_rgb(tmp_path / "out" / "a" / "one_y0032_x0048.png"), pixels[32:64, 48:96])
    assert (cut.images, cut.tiles, cut.left_over) == (1, 4, {"a/one.tif": 70 * 100 - 4 * 32 * 48})


def test_tiles_of_an_earlier_run_inside_the_folder_are_not_cut_again(tmp_path: Path) -> None:
    saved(tmp_path / "in/one.png", 70, 100)
    cuts = [cut_folder(tmp_path / "in", tmp_path / "in/tiles", (32, 48)) for _ in range(2)]
    assert cuts[0] == cuts[1]


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ((), "holds no images"),
        (("small.png",), r"small.png is 70x100 \(height x width\), smaller than a tile of 80x80"),
        (("one.png", "one.tif"), "one.png and one.tif differ only in their suffix"),
        (("notes.txt",), "notes.txt is not an image file"),
    ],
)
def test_what_cannot_be_cut_is_named_and_nothing_is_written(tmp_path: Path, files: tuple[str, ...], what: str) -> None:
    (tmp_path / "in").mkdir()
    for name in files:
        if name.endswith("txt"):
            (tmp_path / "in" / name).write_text("x")
        else:
            saved(tmp_path / "in" / name, *((70, 100) if name == "small.png" else (80, 80)))
    with pytest.raises(LeukoError, match=what):
        cut_folder(tmp_path / "in", tmp_path / "out", (80, 80))
    assert not (tmp_path / "out").exists()
