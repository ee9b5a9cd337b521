"""Masks are taken when they say clearly what each pixel shows, and refused with the reason otherwise."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.images.masks import (
    CYTOPLASM,
    NUCLEUS,
    REST,
    VALUES,
    fit_mask,
    read_hr_mask,
    read_mask,
    write_mask,
)
from leukosr.images.reading import fit_to


def drawn(side: int = 64) -> np.ndarray:
    """A cell in the middle of a mask."""
    mask = np.zeros((side, side + 8), np.uint8)
    cv2.circle(mask, (side // 2, side // 2), side // 3, CYTOPLASM, -1)
    cv2.circle(mask, (side // 2, side // 2), side // 6, NUCLEUS, -1)
    return mask


def test_a_mask_comes_back_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(drawn()).save(tmp_path / "mask.png")
    found = read_mask(tmp_path / "mask.png", (64, 72))
    assert found.dtype == np.uint8 and set(np.unique(found)) == {REST, CYTOPLASM, NUCLEUS}
    assert np.array_equal(found, drawn())


def smeared(mask: np.ndarray) -> Image.Image:
    pixels = cv2.imdecode(cv2.imencode(".jpg", mask)[1], cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.fromarray(drawn(48)), "is 48x56, its image 64x72"),
        (Image.fromarray(np.dstack([drawn()] * 3)), "has mode RGB, not 8-bit grey; write 0 for the rest, 128 for"),
        (Image.fromarray(drawn().astype(np.uint16) * 256), "has mode I;16, not 8-bit grey"),
        (smeared(drawn()), r"holds \d+ other values, such as 1 .it has been a JPEG or was resampled"),
        (Image.fromarray(np.digitize(drawn(), [1, 200]).astype(np.uint8)), r"holds the class numbers \[1, 2\]"),
        (Image.fromarray(np.arange(64 * 72, dtype=np.uint16).reshape(64, 72).astype(np.uint8)), "something else"),
    ],
)
def test_a_mask_that_does_not_say_what_a_pixel_shows_is_refused(image: Image.Image, said: str, tmp_path: Path) -> None:
    image.save(tmp_path / "mask.png")
    with pytest.raises(LeukoError, match=f"the mask .*mask.png {said}" if "else" not in said else said):
        read_mask(tmp_path / "mask.png", (64, 72))


def test_a_missing_mask_a_damaged_one_and_one_that_is_no_png_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"the mask .*mask.png does not exist"):
        read_mask(tmp_path / "mask.png", (64, 72))
    Image.fromarray(drawn()).save(tmp_path / "mask.jpg")
    with pytest.raises(LeukoError, match="is not a PNG"):
        read_mask(tmp_path / "mask.jpg", (64, 72))
    Image.fromarray(drawn()).save(tmp_path / "mask.png")
    content = (tmp_path / "mask.png").read_bytes()
    (tmp_path / "mask.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(LeukoError, match="corrupt or truncated"):
        read_mask(tmp_path / "mask.png", (64, 72))


def test_a_mask_is_cut_as_its_image_is() -> None:
    mask = drawn(121)
    image = np.repeat(mask[..., None], 3, axis=2)
    for size in ((112, 112), (120, 121)):
        cut = fit_to(image, *size, "center_crop", "area")
        assert np.array_equal(fit_mask(mask, *size, "center_crop"), cut[..., 0])


def test_a_mask_shows_the_part_that_its_image_is_made_from(
    tmp_path: Path, compose_params: Callable[..., Params]
) -> None:
    sizes = ("image.height=64", "image.width=64", "image.degraded_at=[63,63]", "image.fit=center_crop")
    write_mask(tmp_path / "mask.png", drawn(121))
    found = read_hr_mask(tmp_path / "mask.png", (121, 129), compose_params("study=demo", *sizes).image)
    assert np.array_equal(found, fit_mask(drawn(121)[29:92, 33:96], 64, 64, "resize"))


def test_a_resized_mask_keeps_its_values() -> None:
    found = fit_mask(drawn(), 37, 51, "resize")
    assert found.shape == (37, 51)
    assert set(np.unique(found)) == set(VALUES)
