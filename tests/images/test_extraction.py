from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from leukosr.evaluate.extraction import agreement, box_iou, extractor_scores
from leukosr.images.extraction import EXTRACTORS, RGB, Extractor
from leukosr.images.masks import NUCLEUS

CONF = Path(__file__).resolve().parents[2] / "conf" / "extractor"
PLASMA, NUCLEUS_RGB = (235, 225, 215), (140, 110, 200)


def of(method: str, **settings: Any) -> Extractor:
    return EXTRACTORS[method](method=method, **settings)


def smear(height: int = 240, width: int = 320, at: tuple[int, int] | None = None, radius: int = 40) -> RGB:
    """A round nucleus on plasma, by default in the middle; `at` is (x, y)."""
    image = np.full((height, width, 3), PLASMA, np.uint8)
    cv2.circle(image, at or (width // 2, height // 2), radius, NUCLEUS_RGB, cv2.FILLED)
    return image


def mask_of(image: RGB) -> np.ndarray:
    return np.where((image == NUCLEUS_RGB).all(axis=-1), NUCLEUS, 0).astype(np.uint8)


@pytest.mark.parametrize("method", EXTRACTORS)
def test_the_configuration_states_every_setting_of_an_extractor(method: str) -> None:
    written = yaml.safe_load((CONF / f"{method}.yaml").read_text())
    assert EXTRACTORS[method].model_validate(written) == of(method)
    assert set(written) == set(EXTRACTORS[method].model_fields)


@pytest.mark.parametrize("method", EXTRACTORS)
def test_a_cell_is_shown_whole_and_black_around(method: str) -> None:
    image = smear()
    cell = of(method).cell(image)
    assert cell is not None
    found = agreement(cell, mask_of(image))
    assert found is not None
    assert (found.coverage, found.iou > 0.5) == (1.0, True)
    assert (cell.crop[0, 0] == 0).all()
    assert of(method).shown(image, cell).shape == (128, 128, 3)
    assert cell.area == cell.shown.sum()
    left, top, right, bottom = cell.box
    outside = cell.shown.copy()
    outside[top:bottom, left:right] = False
    assert not outside.any()


@pytest.mark.parametrize("method", EXTRACTORS)
@pytest.mark.parametrize("shape", [(128, 128), (240, 320), (33, 70)])
def test_an_image_without_a_cell_is_shown_whole(method: str, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), PLASMA, np.uint8)
    extractor = of(method, size=[64, 96])
    assert extractor.cell(image) is None
    assert np.array_equal(extractor.shown(image, None), np.full((64, 96, 3), PLASMA, np.uint8))


def test_the_published_morphology_is_that_of_small_kernels_applied_several_times() -> None:
    noise = (np.random.default_rng(0).random((90, 120)) > 0.2).astype(np.uint8) * 255
    eroded = cv2.erode(noise, np.ones((3, 3), np.uint8), iterations=2)
    expected = cv2.dilate(eroded, np.ones((5, 5), np.uint8), iterations=5)
    assert np.array_equal(of("published").regions(noise, 1.0), expected)


@pytest.mark.parametrize("at_the_top", [False, True])
def test_a_cell_at_the_left_or_upper_border_is_lost_as_published_and_kept_by_the_others(at_the_top: bool) -> None:
    image = np.full((240, 320, 3), PLASMA, np.uint8)
    oblique = np.array([(0, 60), (0, 110), (80, 190), (105, 165)])  # its smallest rectangle reaches beyond the padding
    cv2.fillPoly(image, [oblique[:, ::-1] if at_the_top else oblique], NUCLEUS_RGB)
    assert of("published").cell(image) is None
    for method in ("scale_aware", "otsu"):
        cell = of(method).cell(image)
        assert cell is not None
        found = agreement(cell, mask_of(image))
        assert found is not None
        assert found.coverage > 0.95


def test_lengths_grow_with_the_image_only_where_the_extractor_says_so() -> None:
    def margin(method: str, factor: int) -> float:
        image = smear(240 * factor, 320 * factor, radius=40 * factor)
        cell = of(method).cell(image)
        assert cell is not None
        return (cell.box[2] - cell.box[0] - 80 * factor) / factor

    assert margin("scale_aware", 2) == pytest.approx(margin("scale_aware", 1), abs=2)
    assert margin("published", 2) < margin("published", 1) - 4


def test_colours_are_those_of_the_specification() -> None:
    extractor = of("published")
    for colour, found in (
        ((80, 80, 180), True),
        ((180, 170, 245), True),
        ((79, 80, 180), False),
        ((80, 80, 246), False),
    ):
        image = np.full((240, 320, 3), PLASMA, np.uint8)
        image[80:160, 120:200] = colour
        assert (extractor.cell(image) is not None) is found


def test_agreement_counts_cells_found_and_leaves_images_without_a_nucleus_out() -> None:
    image = smear()
    cell = of("otsu").cell(image)
    assert cell is not None
    assert agreement(cell, np.zeros((240, 320), np.uint8)) is None
    scores = extractor_scores(4, [None, agreement(cell, mask_of(image))])
    assert (scores.images, scores.found, scores.compared, scores.coverage) == (4, 2, 1, 1.0)
    assert extractor_scores(4, []).iou is None


@pytest.mark.parametrize(("second", "iou"), [((0, 0, 4, 4), 1.0), ((4, 0, 8, 4), 0.0), ((2, 0, 6, 4), 8 / 24)])
def test_boxes_are_compared_by_what_they_share(second: tuple[int, int, int, int], iou: float) -> None:
    assert box_iou((0, 0, 4, 4), second) == pytest.approx(iou)
