"""Images that are unlike those of a training."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from leukosr.data.synthetic.smears import draw_source
from leukosr.errors import LeukoError
from leukosr.images.appearance import MOST, TrainingImages, cautions


@cache
def cell(number: int, kind: str = "neutrophil") -> np.ndarray:
    return draw_source(kind, (64, 64), np.random.default_rng(number)).image


@pytest.fixture(scope="module")
def seen() -> TrainingImages:
    return TrainingImages.of(20, cell, drawn=True)


def test_training_images_and_most_of_their_kind_are_like_them(seen: TrainingImages) -> None:
    assert all(seen.unlike(cell(number)) == [] for number in range(20))
    others = [seen.unlike(cell(number, "eosinophil")) for number in range(100, 110)]
    assert sum(map(bool, others)) <= 2


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda image: cv2.resize(image, (96, 64)), "size 64 x 96, trained on 64 x 64 (height x width)"),
        (lambda image: image[..., [2, 0, 1]], "stain or light"),
        (lambda image: np.repeat(image.mean(2, keepdims=True), 3, 2).astype(np.uint8), "grey, trained on"),
        (lambda image: (image * 0.4).astype(np.uint8), "stain or light"),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 3), "blurrier"),
        (lambda image: np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8), "sharper"),
    ],
)
def test_what_sets_an_image_apart_is_named(seen: TrainingImages, change, word: str) -> None:
    assert any(word in phrase for phrase in seen.unlike(np.ascontiguousarray(change(cell(3)))))


def test_colour_is_named_where_all_training_images_were_grey() -> None:
    grey = TrainingImages.of(20, lambda number: np.repeat(cell(number)[..., :1], 3, 2), drawn=True)
    assert "coloured, trained on grey images" in grey.unlike(cell(3))
    assert grey.unlike(np.repeat(cell(3)[..., :1], 3, 2)) == []


def test_of_very_many_images_an_even_part_is_measured() -> None:
    measured: list[int] = []

    def read(place: int) -> np.ndarray:
        measured.append(place)
        return np.full((8, 8, 3), place % 256, np.uint8)

    found = TrainingImages.of(10 * MOST, read, drawn=False)
    assert (found.count, len(measured), measured[0], measured[-1]) == (10 * MOST, MOST, 0, 10 * MOST - 1)


def test_cautions_name_missing_ranges_drawn_images_and_the_smoke_budget(seen: TrainingImages) -> None:
    path, real = Path("w"), seen.model_copy(update={"drawn": False})
    assert ["no ranges stored" in each for each in cautions({}, path)] == [True]
    assert cautions({TrainingImages.key: real.model_dump_json(), "budget": "cpu"}, path) == []
    drawn = cautions({TrainingImages.key: seen.model_dump_json(), "budget": "smoke"}, path)
    assert "drawn images" in drawn[0] and "smoke budget" in drawn[1] and len(drawn) == 2


@pytest.mark.parametrize("damaged", ["[", '{"count": 0}', '{"count": NaN}'])
def test_a_damaged_entry_is_named(damaged: str) -> None:
    with pytest.raises(LeukoError, match="w has a damaged header"):
        TrainingImages.read({TrainingImages.key: damaged}, Path("w"))
