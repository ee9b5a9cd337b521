"""Upscaling in batches and in tiles gives the images that one call for each whole image would give."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from leukosr.errors import LeukoError
from leukosr.images.masks import VALUES
from leukosr.superres.networks import GENERATORS, Generator
from leukosr.superres.networks.prior import CLASSES
from leukosr.superres.networks.srgan import SRGANGenerator
from leukosr.superres.tiles import Tiles
from leukosr.superres.upscaler import upscale_batch, upscale_images, upscale_tiled

CPU = torch.device("cpu")


@dataclass(frozen=True)
class How:
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = True


class Nearest(Generator):
    """Repeats pixels, and remembers the shapes of the batches it was given."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.seen: list[tuple[int, int, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((len(x), *x.shape[2:]))
        return F.interpolate(x, scale_factor=self.scale, mode="nearest")


class Ringed(Nearest):
    """Spoils the outer `width` pixels of what it is given, as zero padding would."""

    def __init__(self, scale: int, width: int) -> None:
        super().__init__(scale)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        spoilt = torch.zeros_like(x)
        inside = (..., slice(self.width, x.shape[2] - self.width), slice(self.width, x.shape[3] - self.width))
        spoilt[inside] = x[inside]
        return super().forward(spoilt)


class Convolutions(Generator):
    """Two 3 x 3 convolutions before and one after doubling: two and a half LR pixels reach a result."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
            self.last = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        deep = F.interpolate(self.second(torch.tanh(self.first(x))), scale_factor=2, mode="nearest")
        return torch.sigmoid(2 * self.last(deep))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), dtype=np.uint8)


def enlarged(image: np.ndarray, scale: int) -> np.ndarray:
    return image.repeat(scale, 0).repeat(scale, 1)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (37, 53), (16, 41), (5, 61), (23, 16)])
@pytest.mark.parametrize("batch", [1, 3])
def test_tiled_equals_whole_when_half_the_overlap_covers_the_receptive_field(
    height: int, width: int, batch: int
) -> None:
    model, image = Convolutions(), noise(height, width)
    whole = upscale_batch(model, [image], How(), CPU)[0]
    tiled = upscale_tiled(model, image, 2, How(), CPU, tile=16, overlap=6, batch=batch)
    assert np.abs(whole.astype(int) - tiled.astype(int)).max() <= 1
    assert whole.std() > 5


REAL = [(name, scale) for name, network in GENERATORS.items() for scale in network.contract.scales]


def real_network(name: str, scale: int) -> Generator:
    """A tiny network of the registry, with weights so large that what lies far away counts, as in trained ones."""
    network = GENERATORS[name]
    arguments = {**network.tiny, **({"blocks": 1} if "blocks" in network.tiny else {})}
    if network.contract.masks > CLASSES:
        arguments["conditions"] = CLASSES
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = network(scale=scale, **arguments)
        for weight in model.parameters():
            if weight.dim() == 4:
                nn.init.kaiming_normal_(weight)
    return model


@pytest.mark.parametrize(("name", "scale"), REAL)
def test_tiled_real_networks_equal_whole_images(name: str, scale: int) -> None:
    model = real_network(name, scale)
    overlap = 2 * max(128 // scale, 24)  # U-Nets see 107 pixels of the output, the layers of RRDBNet 20 of the input
    image = noise(overlap + 30, 14)  # the last of its tiles began at 22, where no U-Net's square of 16 pixels begins
    mask = None
    if model.contract.masks:
        mask = np.asarray(VALUES, np.uint8)[noise(scale * image.shape[0], scale * image.shape[1])[..., 0] % CLASSES]
    (whole,) = upscale_batch(model, [image], How(), CPU, None if mask is None else [mask], exact=True)
    tiled = upscale_tiled(model, image, scale, How(), CPU, tile=overlap + 8, overlap=overlap, mask=mask, exact=True)
    assert np.abs(whole - tiled).max() <= 1e-5 * np.ptp(whole)


def test_overlap_that_is_too_small_shows_seams() -> None:
    model, image = Convolutions(), noise(40, 40)
    whole = upscale_batch(model, [image], How(), CPU)[0]
    tiled = upscale_tiled(model, image, 2, How(), CPU, tile=16, overlap=0)
    assert np.abs(whole.astype(int) - tiled.astype(int)).max() > 1


@given(
    height=st.integers(1, 40), width=st.integers(1, 40), tile=st.integers(4, 24), data=st.data(),
    batch=st.integers(1, 4), scale=st.sampled_from([2, 4]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_tiles_cover_every_pixel_and_are_no_larger_than_asked(
    height: int, width: int, tile: int, data: st.DataObject, batch: int, scale: int
) -> None:
    overlap = data.draw(st.integers(0, tile - 2), label="overlap")
    model, image = Nearest(scale), noise(height, width)
    tiled = upscale_tiled(model, image, scale, How(), CPU, tile=tile, overlap=overlap, batch=batch)
    assert np.array_equal(tiled, enlarged(image, scale))
    assert all(rows <= min(tile, height) and columns <= min(tile, width) for _, rows, columns in model.seen)
    assert max(shape[0] for shape in model.seen) <= batch


@given(height=st.integers(20, 50), width=st.integers(20, 50), tile=st.integers(8, 18), data=st.data())
@settings(max_examples=60, deadline=None)
def test_half_an_overlap_is_thrown_away_at_every_inner_edge(
    height: int, width: int, tile: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(2, tile - 2), label="overlap")
    ring, image = overlap // 2, noise(height, width)
    tiled = upscale_tiled(Ringed(2, ring), image, 2, How(), CPU, tile=tile, overlap=overlap)
    inside = slice(2 * ring, -2 * ring)
    assert np.array_equal(tiled[inside, inside], enlarged(image, 2)[inside, inside])


@given(size=st.integers(1, 400), tile=st.integers(8, 128), grid=st.sampled_from([2, 4, 8]), data=st.data())
def test_tiles_share_at_least_the_overlap_and_are_no_larger_than_their_number_needs(
    size: int, tile: int, grid: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, tile - grid), label="overlap")
    read = list(Tiles((size, 1), 1, tile, overlap, grid).low(np.arange(size)[:, None]))
    assert (read[0][0], read[-1][-1]) == (0, size - 1)
    assert all(part[0] % grid == 0 for part in read)
    assert all(before[-1] + 1 - after[0] >= overlap for before, after in itertools.pairwise(read))
    longest = max(len(part) for part in read)
    assert longest <= tile
    step = (tile - overlap) // grid * grid
    assert len(read) == 1 + max(0, math.ceil((size - tile) / step))
    if len(read) > 1 and longest - 1 - overlap >= grid:  # one pixel less would need another tile
        assert len(read) < 1 + math.ceil((size - (longest - 1)) / ((longest - 1 - overlap) // grid * grid))


def test_balanced_tiles_compute_less() -> None:
    assert [part.shape for part in Tiles((512, 512), 4, 256, 64).low(np.zeros((512, 512)))] == 9 * [(214, 214)]


def test_side_as_long_as_the_overlap_is_one_tile() -> None:
    image = noise(32, 300)
    tiled = upscale_tiled(Nearest(4), image, 4, How(), CPU, tile=256, overlap=32)
    assert np.array_equal(tiled, enlarged(image, 4))


@pytest.mark.parametrize("overlap", [15, 16, 17])
def test_overlap_that_leaves_nothing_of_a_tile_is_refused(overlap: int) -> None:
    with pytest.raises(LeukoError, match=f"overlap {overlap} must be smaller than tile 16"):
        upscale_tiled(Nearest(2), noise(40, 40), 2, How(), CPU, tile=16, overlap=overlap)


def test_tiles_that_do_not_fit_the_grid_of_a_network_are_refused() -> None:
    model, image = real_network("geometry_prior", 2), noise(40, 40)
    with pytest.raises(LeukoError, match="tile is 6: give 0, for whole images, or 8 or more"):
        upscale_tiled(model, image, 2, How(), CPU, tile=6, overlap=0)
    with pytest.raises(LeukoError, match="overlap 9 must be smaller than tile 16 by 8 pixels or more"):
        upscale_tiled(model, image, 2, How(), CPU, tile=16, overlap=9)
    assert upscale_tiled(model, image, 2, How(), CPU, tile=16, overlap=8).shape == (80, 80, 3)


def test_mixed_sizes_come_back_in_order_and_are_batched_by_size() -> None:
    sizes = [(8, 8), (8, 8), (8, 8), (6, 9), (8, 8), (30, 30), (8, 8), (8, 8)]
    images = [noise(*size, seed=number) for number, size in enumerate(sizes)]
    model = Nearest(2)
    results = list(upscale_images(model, images, 2, How(), CPU, batch=2, tile=20, overlap=4))
    assert len(results) == len(images)
    assert all(np.array_equal(result, enlarged(image, 2)) for result, image in zip(results, images, strict=True))
    tiles = [(2, 18, 18), (2, 18, 18)]
    assert model.seen == [(2, 8, 8), (1, 8, 8), (1, 6, 9), (1, 8, 8), *tiles, (2, 8, 8)]


def test_tile_0_means_whole_images() -> None:
    model = Nearest(2)
    list(upscale_images(model, [noise(70, 50)], 2, How(), CPU, batch=4, tile=0, overlap=16))
    assert model.seen == [(1, 70, 50)]


def test_only_one_batch_of_a_stream_is_read_ahead() -> None:
    read: list[int] = []

    def stream() -> Iterator[np.ndarray]:
        for number in range(100):
            read.append(number)
            yield noise(8, 8, number)

    next(upscale_images(Nearest(2), stream(), 2, How(), CPU, batch=4))
    assert len(read) <= 5


def test_values_outside_the_range_are_clipped_and_rounded() -> None:
    class Stretch(Generator):
        def forward(self, x: Tensor) -> Tensor:
            return (x - 0.5) * 1.5 + 0.5

    image = np.array([[[0, 255, 128]]], dtype=np.uint8)
    assert upscale_batch(Stretch(), [image], How(), CPU)[0].tolist() == [[[0, 255, 128]]]


def test_batch_norm_uses_running_statistics_and_the_mode_is_put_back() -> None:
    model = SRGANGenerator(features=4, blocks=1).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = [noise(8, 8, seed) for seed in range(3)]
    together = upscale_batch(model, images, How(), CPU)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    alone = [upscale_batch(model, [image], How(), CPU)[0] for image in images]
    assert all(np.abs(a.astype(int) - b.astype(int)).max() <= 1 for a, b in zip(together, alone, strict=True))


def test_bf16_is_close_to_fp32() -> None:
    model, image = Convolutions(), noise(24, 24)
    exact, rough = (upscale_batch(model, [image], How(precision), CPU)[0].astype(int) for precision in ("fp32", "bf16"))
    assert 0 < np.abs(exact - rough).max() < 16
