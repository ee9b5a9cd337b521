"""Copies are found whatever was done to them, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.data.provenance.disguise import STRENGTHS, disguised, field, pairwise, write_jpeg, write_views

from leukosr.data.provenance.features import describe_image, mirrored
from leukosr.data.provenance.geometry import Limits, best_view, matches
from leukosr.data.provenance.search import Sources, find_sources
from leukosr.images.reading import read_rgb

LIMITS = Limits()


def found(files: list[Path], folder: Path, workers: int = 1) -> Sources:
    return find_sources(files, folder, LIMITS, max_features=400, neighbours=8, workers=workers)


@pytest.fixture(scope="module")
def disguises(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """36 fields, four views each, a third of them at each strength."""
    root = tmp_path_factory.mktemp("views")
    return [
        file
        for number, strength in enumerate(STRENGTHS.values())
        for file in write_views(root / str(number), range(12 * number, 12 * number + 12), 4, strength)
    ]


@pytest.mark.slow
def test_copies_are_grouped_whatever_was_done_to_them(disguises: list[Path], tmp_path: Path) -> None:
    true = np.array([int(file.stem[:4]) for file in disguises])
    precision, recall = pairwise(found(disguises, tmp_path).group, true)
    assert precision >= 0.99
    assert recall >= 0.97


@pytest.mark.slow
def test_distinct_fields_of_similar_look_stay_apart(tmp_path: Path) -> None:
    files = [tmp_path / f"{number:04d}.jpg" for number in range(300)]
    for number, file in enumerate(files):
        write_jpeg(file, field(number, (120, 160)), 90)
    result = found(files, tmp_path / "work")
    assert len(set(result.group.tolist())) == 300
    assert result.confidence.min() > 0.5


def test_photographs_of_overlapping_fields_are_one_source(tmp_path: Path) -> None:
    wide = field(3, (300, 480))
    files = [tmp_path / "left.jpg", tmp_path / "right.jpg", tmp_path / "other.jpg"]
    for file, image in zip(files, (wide[:240, :300], wide[40:280, 180:], field(4, (240, 300))), strict=True):
        write_jpeg(file, image, 90)
    assert found(files, tmp_path / "work").group.tolist() == [0, 0, 2]


@pytest.mark.slow
def test_the_result_does_not_depend_on_workers_or_names(disguises: list[Path], tmp_path: Path) -> None:
    few = disguises[:24]
    one, two = found(few, tmp_path / "one"), found(few, tmp_path / "two", workers=2)
    assert np.array_equal(one.group, two.group)
    assert np.array_equal(one.confidence, two.confidence)
    renamed = []
    for number, file in enumerate(few):
        renamed.append(tmp_path / f"x{number}.jpg")
        renamed[-1].write_bytes(file.read_bytes())
    assert np.array_equal(found(renamed, tmp_path / "three").group, one.group)


def test_cut_work_goes_on_from_its_finished_parts(
    disguises: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leukosr.data.provenance import search, store

    few = disguises[:12]
    whole = found(few, tmp_path / "whole")
    monkeypatch.setattr(search, "best_view", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        found(few, tmp_path / "cut")
    monkeypatch.undo()
    monkeypatch.setattr(store, "describe", lambda *_: pytest.fail("the features were there"))
    again = found(few, tmp_path / "cut")
    assert np.array_equal(again.group, whole.group)
    monkeypatch.setattr(search, "best_view", lambda *_: pytest.fail("the comparisons were there"))
    assert np.array_equal(found(few, tmp_path / "cut").confidence, whole.confidence)


def test_mirrored_descriptors_are_those_of_the_mirror_image() -> None:
    image = field(1)
    straight, flipped = describe_image(image, 400), describe_image(np.ascontiguousarray(image[:, ::-1]), 400)
    turned, _ = matches(mirrored(straight.descriptors), flipped.descriptors)
    assert len(turned) > 0.6 * len(straight.points)
    assert np.array_equal(mirrored(mirrored(straight.descriptors)), straight.descriptors)


def test_the_view_is_the_map_that_was_applied() -> None:
    image = field(2)
    applied = cv2.getRotationMatrix2D((160, 120), 33, 0.9)
    moved = cv2.warpAffine(image, applied, (320, 240))
    view = best_view(describe_image(image, 400), describe_image(moved, 400), False, LIMITS)
    assert view.accepted(LIMITS)
    assert view.transform[:, :2] == pytest.approx(applied[:, :2], abs=0.01)
    assert 2 * view.transform[:, 2] == pytest.approx(applied[:, 2], abs=1.5)


@pytest.mark.parametrize("image", [np.zeros((240, 320, 3), np.uint8), np.full((64, 64, 3), 230, np.uint8)])
def test_an_image_without_features_is_alone(image: np.ndarray, tmp_path: Path) -> None:
    files = [tmp_path / "empty.png", tmp_path / "a.jpg", tmp_path / "b.jpg"]
    cv2.imwrite(str(files[0]), image)
    for file in files[1:]:
        write_jpeg(file, disguised(field(0), STRENGTHS["mild"], np.random.default_rng(len(file.stem))), 90)
    result = found(files, tmp_path / "work")
    assert result.group.tolist() == [0, 1, 1]
    assert result.bare.tolist() == [True, False, False]
    assert result.confidence[0] == 0 and result.confidence[1:].min() > 0.5
    assert len(describe_image(image, 400).points) == 0


def test_copies_of_equal_bytes_are_one_source_whether_they_have_features_or_not(tmp_path: Path) -> None:
    """The first one has six features, all of them in one place."""
    y, x = np.mgrid[:64, :64]
    blob = 230 - np.exp(-((x - 35) ** 2 + (y - 31) ** 2) / 200) * 170
    files = [tmp_path / f"{number}.png" for number in range(7)]
    for file, image in zip(files, (blob[..., None].repeat(3, 2).astype(np.uint8), field(0), field(1)), strict=False):
        cv2.imwrite(str(file), image)
    for copy, original in ((3, 0), (4, 0), (5, 1)):
        files[copy].write_bytes(files[original].read_bytes())
    cv2.imwrite(str(files[6]), np.rot90(field(1)))
    result = found(files, tmp_path / "work")
    assert result.group.tolist() == [0, 1, 2, 0, 0, 1, 2]
    assert result.copies == ((0, 3, 4), (1, 5))
    assert len(describe_image(read_rgb(files[0]), 400).points) > LIMITS.inliers
    assert result.bare.tolist() == [True, False, False, True, True, False, False]
    assert result.confidence[[0, 1, 3, 4, 5]].tolist() == [1] * 5
    assert 0.5 < result.confidence[2] < 1 and len(result.links) == 1
