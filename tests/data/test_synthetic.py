"""The synthetic smears: what they contain, what tells the classes apart, and that a seed fixes every byte."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from leukosr.config import SyntheticSet
from leukosr.data.synthetic.smears import (
    CLASSES,
    Smear,
    augment_view,
    draw_source,
    write_demo,
)
from leukosr.errors import LeukoError
from leukosr.images.masks import CYTOPLASM, NUCLEUS
from leukosr.images.reading import read_rgb

SIZE = (128, 128)
SMALL = SyntheticSet(folder="demo", height=64, width=80, train_sources=2, test_sources=1, views=2, seed=7)
SAMPLES = 8


def _draw(cell_class: str, index: int, size: tuple[int, int] = SIZE) -> Smear:
    return draw_source(cell_class, size, np.random.default_rng([CLASSES.index(cell_class), index]))


@pytest.fixture(scope="module")
def samples() -> dict[str, list[Smear]]:
    """Eight sources of each class."""
    return {cell_class: [_draw(cell_class, index) for index in range(SAMPLES)] for cell_class in CLASSES}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set on disk."""
    folder = tmp_path_factory.mktemp("demo") / "raw" / "demo"
    write_demo(folder, SMALL)
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _lobes(smear: Smear) -> int:
    """Parts of the nucleus that stay when everything thinner than five pixels is taken off."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    return int(ndimage.label(cv2.erode(smear.nucleus.astype(np.uint8), disc))[1])


def _share_of_nucleus(smear: Smear) -> float:
    return float(smear.nucleus.sum() / (smear.nucleus | smear.cytoplasm).sum())


def _median(values: list[float]) -> float:
    return float(np.median(values))


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (96, 160)])
@pytest.mark.parametrize("cell_class", CLASSES)
def test_a_source_has_the_asked_size_and_disjoint_non_empty_masks(cell_class: str, size: tuple[int, int]) -> None:
    smear = _draw(cell_class, 0, size)
    assert smear.image.shape == (*size, 3) and smear.image.dtype == np.uint8
    for mask in (smear.nucleus, smear.cytoplasm):
        assert mask.shape == size and mask.dtype == np.bool_ and mask.any()
    assert not (smear.nucleus & smear.cytoplasm).any()


@pytest.mark.parametrize("cell_class", CLASSES)
def test_the_cell_is_whole_with_its_nucleus_inside_it(cell_class: str, samples: dict[str, list[Smear]]) -> None:
    for smear in samples[cell_class]:
        cell = smear.nucleus | smear.cytoplasm
        assert ndimage.label(cell)[1] == 1
        assert np.array_equal(ndimage.binary_fill_holes(cell), cell)
        rim = cell & ~ndimage.binary_erosion(cell)
        # A lymphocyte's rim of cytoplasm may be thinner than a pixel, on a part of its edge only.
        assert (smear.nucleus & rim).sum() < 0.8 * rim.sum()


@pytest.mark.parametrize("cell_class", CLASSES)
def test_the_leukocyte_lies_in_the_middle_region_away_from_the_border(
    cell_class: str, samples: dict[str, list[Smear]]
) -> None:
    for smear in samples[cell_class]:
        rows, cols = np.nonzero(smear.nucleus | smear.cytoplasm)
        assert SIZE[0] / 3 < rows.mean() < 2 * SIZE[0] / 3
        assert SIZE[1] / 3 < cols.mean() < 2 * SIZE[1] / 3
        assert min(rows.min(), cols.min()) > 4 and rows.max() < SIZE[0] - 5 and cols.max() < SIZE[1] - 5


@pytest.mark.parametrize("cell_class", CLASSES)
def test_the_nucleus_is_the_darkest_part_and_the_cell_stands_out(
    cell_class: str, samples: dict[str, list[Smear]]
) -> None:
    for smear in samples[cell_class]:
        grey = smear.image.mean(axis=2)
        around = ~(smear.nucleus | smear.cytoplasm)
        assert grey[smear.nucleus].mean() < grey[smear.cytoplasm].mean() < grey[around].mean() + 20
        assert grey[smear.nucleus].mean() < grey[around].mean() - 40


def test_neutrophils_have_three_to_five_lobes_and_round_nuclei_have_one(
    samples: dict[str, list[Smear]],
) -> None:
    lobes = {cell_class: [_lobes(smear) for smear in samples[cell_class]] for cell_class in CLASSES}
    assert 3 <= np.median(lobes["neutrophil"]) <= 5
    assert sum(count >= 3 for count in lobes["neutrophil"]) >= 0.75 * SAMPLES
    assert np.median(lobes["eosinophil"]) == 2
    assert np.median(lobes["lymphocyte"]) == np.median(lobes["monocyte"]) == 1


def test_the_nucleus_fills_a_lymphocyte_more_than_a_monocyte_and_that_more_than_a_neutrophil(
    samples: dict[str, list[Smear]],
) -> None:
    share = {c: _median([_share_of_nucleus(smear) for smear in samples[c]]) for c in CLASSES}
    assert share["lymphocyte"] > 0.55
    assert share["lymphocyte"] > share["monocyte"] + 0.1 > share["neutrophil"] + 0.1


def test_monocytes_are_the_largest_cells_and_lymphocytes_the_smallest(
    samples: dict[str, list[Smear]],
) -> None:
    area = {c: _median([float((s.nucleus | s.cytoplasm).sum()) for s in samples[c]]) for c in CLASSES}
    assert max(area, key=area.__getitem__) == "monocyte"
    assert min(area, key=area.__getitem__) == "lymphocyte"


def test_cytoplasm_is_reddest_in_eosinophils_and_bluest_in_lymphocytes_and_monocytes(
    samples: dict[str, list[Smear]],
) -> None:
    def redness(smear: Smear) -> float:
        red, _, blue = smear.image[smear.cytoplasm].mean(axis=0)
        return float(red / blue)

    red = {c: _median([redness(smear) for smear in samples[c]]) for c in CLASSES}
    assert red["eosinophil"] > red["neutrophil"] > max(red["lymphocyte"], red["monocyte"])
    assert red["eosinophil"] > red["basophil"] + 0.2


def test_basophil_and_eosinophil_cytoplasm_is_coarser_than_neutrophil_cytoplasm(
    samples: dict[str, list[Smear]],
) -> None:
    def coarseness(smear: Smear) -> float:
        inner = ndimage.binary_erosion(smear.cytoplasm, iterations=2)
        return float(smear.image[inner, 1].std())

    granulocytes = ("basophil", "eosinophil", "neutrophil")
    coarse = {c: _median([coarseness(smear) for smear in samples[c]]) for c in granulocytes}
    assert coarse["basophil"] > coarse["neutrophil"] < coarse["eosinophil"]


def test_sources_of_one_class_differ_in_stain(samples: dict[str, list[Smear]]) -> None:
    for smears in samples.values():
        background = [np.percentile(smear.image.reshape(-1, 3), 90, axis=0) for smear in smears]
        assert np.std(background, axis=0).max() > 4


def test_one_generator_state_gives_one_source_and_another_a_different_one() -> None:
    first, again, other = (_draw("monocyte", index) for index in (3, 3, 4))
    assert np.array_equal(first.image, again.image) and np.array_equal(first.nucleus, again.nucleus)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("cell_class", CLASSES)
def test_a_view_keeps_size_and_the_whole_cell_and_fills_with_black(
    cell_class: str, samples: dict[str, list[Smear]]
) -> None:
    black = 0
    for index, smear in enumerate(samples[cell_class]):
        view = augment_view(smear, np.random.default_rng(index))
        assert view.image.shape == smear.image.shape and view.image.dtype == np.uint8
        assert not (view.nucleus & view.cytoplasm).any()
        cell = view.nucleus | view.cytoplasm
        before = (smear.nucleus | smear.cytoplasm).sum()
        assert 0.8 * before < cell.sum() < 1.25 * before
        assert not (cell[[0, -1]].any() or cell[:, [0, -1]].any())
        assert view.image[cell].mean(axis=1).min() > 5
        black += int((view.image == 0).all(axis=2).sum())
    assert black > 0


def test_a_view_moves_masks_and_image_together(samples: dict[str, list[Smear]]) -> None:
    smear = samples["lymphocyte"][0]
    painted = np.where(smear.nucleus[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=2)
    view = augment_view(replace(smear, image=painted), np.random.default_rng(5))
    bright = view.image[..., 0] > 127
    assert (bright ^ view.nucleus).sum() < 0.1 * view.nucleus.sum()


def test_the_data_set_holds_the_asked_images_masks_and_a_matching_table(demo: Path) -> None:
    with (demo / "sources.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "source", "class", "view"]
    assert len(rows) == len({row["path"] for row in rows}) == len(CLASSES) * 3 * 2
    assert {row["path"] for row in rows} == {name for name in _files(demo) if name.endswith(".jpg")}
    for row in rows:
        split, cell_class, name = row["path"].split("/")
        index, view = name.removesuffix(".jpg").split("_")
        assert (row["class"], row["view"]) == (cell_class, view)
        assert row["source"] == f"{cell_class}-{split.lower()}-{index}"
        image = cv2.imread(str(demo / row["path"]))
        mask = cv2.imread(str((demo / "masks" / row["path"]).with_suffix(".png")), cv2.IMREAD_UNCHANGED)
        assert image is not None and image.shape == (64, 80, 3)
        assert mask is not None and mask.shape == (64, 80)
        assert set(np.unique(mask)) == {0, CYTOPLASM, NUCLEUS}


def test_a_stored_eosinophil_is_red_where_its_mask_says_cytoplasm(demo: Path) -> None:
    stored = read_rgb(demo / "TRAIN/eosinophil/000_0.jpg")
    mask = cv2.imread(str(demo / "masks/TRAIN/eosinophil/000_0.png"), cv2.IMREAD_UNCHANGED)
    red, _, blue = stored[mask == CYTOPLASM].mean(axis=0)
    assert red > blue


def test_train_and_test_share_no_source(demo: Path) -> None:
    with (demo / "sources.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    train, test = ({r["source"] for r in rows if r["path"].startswith(split)} for split in ("TRAIN", "TEST"))
    assert train and test and not train & test
    files = _files(demo)
    for cell_class in CLASSES:
        assert files[f"TRAIN/{cell_class}/000_0.jpg"] != files[f"TEST/{cell_class}/000_0.jpg"]


def test_one_seed_gives_identical_bytes_and_another_seed_other_images(demo: Path, tmp_path: Path) -> None:
    write_demo(tmp_path / "again", SMALL)
    assert _files(tmp_path / "again") == _files(demo)
    write_demo(tmp_path / "other", SMALL.model_copy(update={"seed": 8}))
    other = _files(tmp_path / "other")
    assert other.keys() == _files(demo).keys()
    assert all(other[name] != data for name, data in _files(demo).items() if name.endswith(".jpg"))


def test_a_source_does_not_depend_on_how_many_others_are_drawn(demo: Path, tmp_path: Path) -> None:
    write_demo(tmp_path / "fewer", SMALL.model_copy(update={"train_sources": 1, "views": 1}))
    everything = _files(demo)
    fewer = {name: data for name, data in _files(tmp_path / "fewer").items() if name != "sources.csv"}
    assert len(fewer) == 2 * len(CLASSES) * 2
    assert all(everything[name] == data for name, data in fewer.items())


def test_progress_is_told_after_every_image_and_the_count_is_returned(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    settings = SMALL.model_copy(update={"train_sources": 1, "views": 1})
    count = write_demo(tmp_path / "demo", settings, lambda done, total: calls.append((done, total)))
    assert calls == [(done, count) for done in range(1, count + 1)] and count == 2 * len(CLASSES)


def test_an_empty_folder_is_used_and_a_full_one_refused_untouched(tmp_path: Path) -> None:
    settings = SMALL.model_copy(update={"train_sources": 1, "views": 1})
    target = tmp_path / "demo"
    target.mkdir()
    write_demo(target, settings)
    before = _files(target)
    with pytest.raises(LeukoError, match="demo"):
        write_demo(target, settings.model_copy(update={"seed": 1}))
    assert _files(target) == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LeukoError, match="file"):
        write_demo(tmp_path / "file", settings)


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path / "demo", SMALL, stop)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_class_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LeukoError, match=r"'blast'.*basophil.*neutrophil"):
        draw_source("blast", SIZE, np.random.default_rng(0))


@pytest.mark.parametrize("size", [(63, 128), (128, 63)])
def test_sizes_below_64_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(LeukoError, match="at least 64"):
        draw_source("monocyte", size, np.random.default_rng(0))


@pytest.mark.parametrize(
    "wrong", [{"height": 63}, {"width": 63}, {"train_sources": 0}, {"test_sources": 0}, {"views": 0}, {"seed": -1}]
)
def test_settings_that_cannot_be_drawn_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SyntheticSet.model_validate(SMALL.model_dump() | wrong)
