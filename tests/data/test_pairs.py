from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from leukosr.data.pairs import Pairs, PatchSampler
from leukosr.images.store import ImageStore

HEIGHT, WIDTH = 18, 23


def low(key: int) -> np.ndarray:
    """An LR image whose pixels say where they stand: row, column, image."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([rows, columns, np.full_like(rows, key)], axis=-1).astype(np.uint8)


def pairs(count: int, scale: int = 4) -> Pairs:
    """HR pixels say the same of the LR pixel below which they lie."""
    keys = range(count)
    hr = ImageStore(keys, lambda key: low(key).repeat(scale, axis=0).repeat(scale, axis=1))
    return Pairs(ImageStore(keys, low), hr, scale)


def sampler(**changes: object) -> PatchSampler:
    settings = {"pairs": pairs(7), "patch": 32, "batch": 3, "flips": True, "seed": 0, "name": "srgan"}
    return PatchSampler(**{**settings, **changes})  # type: ignore[arg-type]


def orientation(patch: np.ndarray) -> tuple[str, int, int]:
    """Which coordinate runs down an LR patch, and which way both run."""
    down, right = patch[1, 0].astype(int) - patch[0, 0], patch[0, 1].astype(int) - patch[0, 0]
    axis = "row" if down[0] else "column"
    return axis, int(down[:2].sum()), int(right[:2].sum())


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("flips", [True, False])
def test_patches_show_the_same_place_in_the_same_orientation(scale: int, flips: bool) -> None:
    sample = sampler(pairs=pairs(7, scale), flips=flips, batch=5)
    for number in range(40):
        lr, hr = sample(number)
        side = 32 // scale
        assert (lr.shape, hr.shape) == ((5, side, side, 3), (5, 32, 32, 3))
        assert lr.dtype == np.uint8 and hr.dtype == np.uint8
        assert np.array_equal(lr.repeat(scale, axis=1).repeat(scale, axis=2), hr)


def test_patches_are_cut_from_everywhere() -> None:
    sample = sampler(flips=False)
    corners = {tuple(patch[0, 0, :2].tolist()) for number in range(800) for patch in sample(number)[0]}
    assert corners == {(top, left) for top in range(HEIGHT - 8 + 1) for left in range(WIDTH - 8 + 1)}


def test_all_eight_orientations_come_about_equally_often() -> None:
    sample = sampler()
    seen = Counter(orientation(patch) for number in range(400) for patch in sample(number)[0])
    assert len(seen) == 8
    assert min(seen.values()) > 100  # 150 expected of 1,200


def test_without_flips_patches_stay_upright() -> None:
    sample = sampler(flips=False)
    assert {orientation(patch) for number in range(40) for patch in sample(number)[0]} == {("row", 1, 1)}


def test_a_patch_may_be_the_whole_image() -> None:
    sample = sampler(patch=HEIGHT * 4, flips=False)
    assert sample(0)[1].shape == (3, HEIGHT * 4, HEIGHT * 4, 3)


def test_a_batch_depends_on_its_number_alone() -> None:
    in_order = sampler()
    batches = [in_order(number) for number in range(6)]
    for number in (4, 0, 5, 2):
        lr, hr = sampler()(number)
        assert np.array_equal(lr, batches[number][0])
        assert np.array_equal(hr, batches[number][1])


@pytest.mark.parametrize("change", [{"seed": 1}, {"name": "srgan_b"}])
def test_another_seed_or_training_sees_other_batches(change: dict[str, object]) -> None:
    assert any(not np.array_equal(sampler()(n)[0], sampler(**change)(n)[0]) for n in range(3))


def darkened(hr: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """LR whose third channel is a draw."""
    lr = hr[::4, ::4].copy()
    lr[..., 2] = rng.integers(256)
    return lr


def test_lr_drawn_afresh_belongs_to_its_hr_and_differs_from_sample_to_sample() -> None:
    fresh = sampler(pairs=replace(pairs(3), degrade=darkened), batch=3)
    draws = []
    for number in range(20):
        lr, hr = fresh(number)
        assert np.array_equal(lr.repeat(4, axis=1).repeat(4, axis=2)[..., :2], hr[..., :2])
        draws += lr[:, 0, 0, 2].tolist()
        again = sampler(pairs=replace(pairs(3), degrade=darkened), batch=3)(number)
        assert np.array_equal(lr, again[0]), "a batch depends on its number alone"
    assert len(set(draws)) > 40


def test_lr_drawn_afresh_changes_neither_the_order_nor_the_places() -> None:
    for number in range(5):
        fresh = sampler(pairs=replace(pairs(3), degrade=darkened))(number)
        assert np.array_equal(sampler(pairs=pairs(3))(number)[1], fresh[1])


def used(sample: PatchSampler, batches: int) -> list[int]:
    return [int(patch[0, 0, 2]) for number in range(batches) for patch in sample(number)[0]]


@pytest.mark.parametrize(("count", "batch"), [(7, 3), (8, 4), (3, 8), (1, 4), (10, 10)])
def test_every_image_is_used_once_an_epoch(count: int, batch: int) -> None:
    found = used(sampler(pairs=pairs(count), batch=batch), batches=3 * count)
    for epoch in range(3 * batch):
        assert sorted(found[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_whole_images_are_neither_cut_nor_turned() -> None:
    lr, hr = sampler(patch=None, flips=False)(0)
    assert (lr.shape, hr.shape) == ((3, HEIGHT, WIDTH, 3), (3, 4 * HEIGHT, 4 * WIDTH, 3))
    assert all(np.array_equal(each[..., :2], low(0)[..., :2]) for each in lr)


@pytest.mark.parametrize("patch", [32, None])
def test_horizontal_flips_mirror_half_of_the_samples_and_turn_none(patch: int | None) -> None:
    sample = sampler(flips="horizontal", patch=patch)
    pairs_seen = [pair for number in range(60) for pair in zip(*sample(number), strict=True)]
    seen = Counter(orientation(lr) for lr, _ in pairs_seen)
    assert set(seen) == {("row", 1, 1), ("row", 1, -1)}
    assert min(seen.values()) > 60
    assert all(np.array_equal(lr.repeat(4, axis=0).repeat(4, axis=1), hr) for lr, hr in pairs_seen)


def test_epochs_are_shuffled_each_anew() -> None:
    found = used(sampler(pairs=pairs(20), batch=20), batches=3)
    epochs = [tuple(found[start : start + 20]) for start in (0, 20, 40)]
    assert len({*epochs, tuple(range(20))}) == 4


def test_the_flips_change_neither_the_order_nor_the_places() -> None:
    for number in range(5):
        upright, turned = sampler(flips=False, batch=1)(number)[0], sampler(flips=True, batch=1)(number)[0]
        assert {tuple(p) for p in upright.reshape(-1, 3).tolist()} == {tuple(p) for p in turned.reshape(-1, 3).tolist()}


def test_pairs_are_counted() -> None:
    assert len(pairs(7)) == 7
