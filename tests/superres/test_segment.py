"""Maps of a user's own images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from leukosr.errors import LeukoError
from leukosr.images.masks import CYTOPLASM, NUCLEUS, REST, VALUES, read_mask
from leukosr.images.reading import read_rgb
from leukosr.superres.enhance import Enhanced
from leukosr.superres.networks.prior import GeometryPrior
from leukosr.superres.segment import overlay, predicted_masks, segment_path

from .test_prior import CPU, How, network
from .tiny import weights_of


def draw(path: Path, height: int = 16, width: int = 24) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return path


def test_a_folder_becomes_masks_and_overlays(tmp_path: Path) -> None:
    draw(tmp_path / "in/a.png")
    draw(tmp_path / "in/deep/b.png", 32, 16)
    (tmp_path / "in/broken.png").write_bytes(b"no image")
    done = segment_path(tmp_path / "in", tmp_path / "out", Path(weights_of("geometry_prior", 4)), "fp32", "cpu")
    assert (done.written, len(done.failed)) == (2, 1)
    assert set(np.unique(read_mask(tmp_path / "out/masks/deep/b.png", (128, 64)))) <= set(VALUES)
    assert read_rgb(tmp_path / "out/overlays/a.png").shape == (64, 96, 3)
    assert not (tmp_path / "out/masks/broken.png").exists()


def test_one_image_gives_the_same_map_as_in_a_folder(tmp_path: Path) -> None:
    image, weights = draw(tmp_path / "in/a.png"), Path(weights_of("geometry_prior", 4))
    assert segment_path(image, tmp_path / "one", weights, "fp32", "cpu") == Enhanced(1, [], [])
    segment_path(tmp_path / "in", tmp_path / "all", weights, "fp32", "cpu")
    assert (tmp_path / "one/masks/a.png").read_bytes() == (tmp_path / "all/masks/a.png").read_bytes()


def test_weights_without_a_prior_are_refused(tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png")
    with pytest.raises(LeukoError, match="holds no network that predicts maps: name weights of a geometry_prior"):
        segment_path(image, tmp_path / "out", Path(weights_of("real_esrgan", 4)), "fp32", "cpu")
    assert not (tmp_path / "out").exists()


def test_an_earlier_result_inside_the_folder_is_not_read_again(tmp_path: Path) -> None:
    draw(tmp_path / "in/a.png")
    for _ in range(2):
        done = segment_path(tmp_path / "in", tmp_path / "in/maps", Path(weights_of("geometry_prior", 4)), "fp32", "cpu")
        assert (done.written, done.failed) == (1, [])
    assert {path.name for path in (tmp_path / "in/maps").rglob("*.png")} == {"a.png"}


def test_the_map_of_another_image_is_not_replaced(tmp_path: Path) -> None:
    weights = Path(weights_of("geometry_prior", 4))
    segment_path(draw(tmp_path / "one/a.png"), tmp_path / "out", weights, "fp32", "cpu")
    with pytest.raises(LeukoError, match=r"masks/a\.png exists already: name another folder"):
        segment_path(draw(tmp_path / "other/a.png"), tmp_path / "out", weights, "fp32", "cpu")


def test_maps_are_not_written_beside_the_images_themselves(tmp_path: Path) -> None:
    draw(tmp_path / "in/a.png")
    with pytest.raises(LeukoError, match="holds the images themselves: choose another place"):
        segment_path(tmp_path / "in", tmp_path / "in", Path(weights_of("geometry_prior", 4)), "fp32", "cpu")
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.png"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png")
    with pytest.raises(LeukoError, match="is a file: name a folder"):
        segment_path(image, image, Path(weights_of("geometry_prior", 4)), "fp32", "cpu")


def test_an_overlay_tints_the_cell_and_leaves_the_rest() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)
    mask = np.full((8, 8), REST, np.uint8)
    mask[2:6, 2:6], mask[3:5, 3:5] = CYTOPLASM, NUCLEUS
    shown = overlay(grey, mask)
    assert shown[0, 0].tolist() == [100, 100, 100]
    assert shown[2, 2, 2] > shown[2, 2, 0] and shown[3, 3, 0] > shown[3, 3, 2]


def lively() -> GeometryPrior:
    """A network whose map has all three parts."""
    model = network("geometry_prior")
    assert isinstance(model, GeometryPrior)
    with torch.no_grad():
        for parameter in model.prior.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    return model


def test_each_tile_of_a_large_image_has_the_map_of_that_tile() -> None:
    model = lively()
    image = np.random.default_rng(0).integers(0, 256, (24, 16, 3), np.uint8)
    (joined,) = predicted_masks(model, [image], How(), CPU, tile=16, overlap=8)
    upper, lower = predicted_masks(model, [image[:16], image[8:]], How(), CPU)
    assert joined.shape == (96, 64)
    assert np.array_equal(joined, np.concatenate([upper[:48], lower[16:]]))
    (whole,) = predicted_masks(model, [image], How(), CPU, tile=24, overlap=4)
    assert np.array_equal(whole, next(predicted_masks(model, [image], How(), CPU)))
    assert set(np.unique(whole)) == set(VALUES)
    assert not np.array_equal(whole, joined), "the network sees further than half an overlap"


def test_tiled_maps_equal_whole_ones_when_half_the_overlap_covers_the_receptive_field() -> None:
    model, image = lively(), np.random.default_rng(0).integers(0, 256, (94, 14, 3), np.uint8)
    (whole,) = predicted_masks(model, [image], How(), CPU)
    (tiled,) = predicted_masks(model, [image], How(), CPU, tile=72, overlap=64)
    assert set(np.unique(whole)) == set(VALUES)
    assert np.mean(whole != tiled) < 1e-3
