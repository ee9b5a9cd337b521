"""`leukosr data shift`: another laboratory's cells, at the scale of one's own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from leukosr.data.shift import cell_around, shift_set
from leukosr.data.split_table import read_split
from leukosr.errors import LeukoError
from leukosr.images.nucleus import diameter_of, find_nucleus
from leukosr.images.reading import read_rgb, write_png


def smear(side: int, diameter: int, place: tuple[int, int], seed: int) -> np.ndarray:
    """A purple nucleus in pale cytoplasm beside red cells, which are as dark in green."""
    image = np.full((side, side, 3), (235, 220, 215), np.uint8)
    for x, y in ((0.15, 0.8), (0.85, 0.15)):
        cv2.circle(image, (int(x * side), int(y * side)), side // 9, (215, 130, 140), -1)
    cv2.circle(image, place, int(0.75 * diameter), (205, 180, 215), -1)
    cv2.circle(image, place, diameter // 2, (90, 50, 140), -1)
    noise = np.random.default_rng(seed).normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    root = tmp_path / "own"
    rows = ["path,label,split"]
    for label in ("monocyte", "neutrophil", "basophil"):
        for n, part in enumerate(("train", "train", "val", "test")):
            write_png(root / f"{label}/{n}.png", smear(180, 60, (90, 90), n))
            rows.append(f"{label}/{n}.png,{label},{part}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def other(tmp_path: Path) -> Path:
    for label in ("MONOCYTE", "NEUTROPHIL", "platelet"):
        for n in range(3):
            write_png(tmp_path / f"other/{label}/{n}.png", smear(120, 30, (25 + 10 * n, 50), n))
    return tmp_path / "other"


def test_the_test_part_is_the_others_at_the_scale_of_the_own(own: Path, other: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = shift_set(own, [other], out, 180)
    assert (done.train, done.val, [each.cells for each in done.tested]) == (4, 2, [6])
    assert [item.path for item in done.left_out] == ["basophil", "platelet"]
    assert done.left_out[0].reason == f"is a class missing from {other}"
    assert done.tested[0].factor == pytest.approx(2, rel=0.05)
    rows = read_split(out)
    assert {row.label for row in rows} == {"monocyte", "neutrophil"}
    for row in rows:
        image = read_rgb(out / row.path)
        nucleus = find_nucleus(image)
        assert nucleus is not None
        assert image.shape == (180, 180, 3)
        assert diameter_of(nucleus) == pytest.approx(60, rel=0.1)
    assert (out / "monocyte/0.png").read_bytes() == (own / "monocyte/0.png").read_bytes()


def test_an_image_without_a_nucleus_is_left_out_and_named(own: Path, other: Path, tmp_path: Path) -> None:
    write_png(other / "MONOCYTE/blank.png", np.full((120, 120, 3), 200, np.uint8))
    *_, left = shift_set(own, [other], tmp_path / "out", 180).left_out
    assert left.path.endswith("blank.png") and left.reason == "shows no nucleus"


def test_cells_of_one_name_in_several_folders_are_all_kept(own: Path, other: Path, tmp_path: Path) -> None:
    for folder in ("day1", "day2"):
        write_png(other / f"MONOCYTE/{folder}/0.png", smear(120, 30, (50, 50), 7))
    assert shift_set(own, [other], tmp_path / "out", 180).tested[0].cells == 8
    kept = [row.path for row in read_split(tmp_path / "out") if row.split == "test"]
    assert {"monocyte/other_0.png", "monocyte/other_day1_0.png", "monocyte/other_day2_0.png"} <= set(kept)


def test_two_files_that_differ_in_their_suffix_alone_are_refused(own: Path, other: Path, tmp_path: Path) -> None:
    (other / "MONOCYTE/0.jpg").write_bytes(b"")  # refused by its name, before it is read
    with pytest.raises(LeukoError, match=r"0\.jpg and .*0\.png would both become monocyte/other_0\.png"):
        shift_set(own, [other], tmp_path / "out", 180)


@pytest.mark.parametrize("taken", ["other_0.png", "Other_0.PNG"])
def test_a_cell_never_gets_the_name_of_an_image_of_the_own_set(
    taken: str, own: Path, other: Path, tmp_path: Path
) -> None:
    (own / "monocyte/0.png").rename(own / f"monocyte/{taken}")
    table = own / "split.csv"
    table.write_text(table.read_text().replace("monocyte/0.png", f"monocyte/{taken}"))
    done = shift_set(own, [other], tmp_path / "out", 180)
    assert (done.train, done.val, [each.cells for each in done.tested]) == (4, 2, [6])
    assert (tmp_path / "out/monocyte" / taken).read_bytes() == (own / "monocyte" / taken).read_bytes()
    names = [row.path.casefold() for row in read_split(tmp_path / "out")]
    assert len({*names}) == len(names) == 12
    assert "monocyte/other2_0.png" in names


def test_each_of_several_laboratories_gets_a_scale_of_its_own(own: Path, other: Path, tmp_path: Path) -> None:
    for label, diameter in (("monocyte", 20), ("neutrophil", 20), ("basophil", 20)):
        write_png(tmp_path / f"third/{label}/0.png", smear(90, diameter, (45, 45), 1))
    done = shift_set(own, [other, tmp_path / "third"], tmp_path / "out", 180)
    assert [(each.folder.name, each.cells) for each in done.tested] == [("other", 6), ("third", 2)]
    assert [each.factor for each in done.tested] == pytest.approx([2, 3], rel=0.05)
    assert [item.path for item in done.left_out] == ["basophil", "platelet"]
    assert done.left_out[0].reason == f"is a class missing from {other}"
    tested = [row.path for row in read_split(tmp_path / "out") if row.split == "test"]
    assert {"monocyte/other_other_0.png", "monocyte/other_third_0.png"} <= {*tested}
    for path in tested:
        nucleus = find_nucleus(read_rgb(tmp_path / "out" / path))
        assert nucleus is not None and diameter_of(nucleus) == pytest.approx(60, rel=0.1)


def test_every_class_counts_alike_in_the_scale(own: Path, other: Path, tmp_path: Path) -> None:
    write_png(other / "BASOPHIL/0.png", smear(120, 45, (60, 60), 0))
    (tested,) = shift_set(own, [other], tmp_path / "out", 180).tested
    assert tested.factor == pytest.approx(60 / np.mean([30, 30, 45]), rel=0.05)


def test_sets_that_cannot_be_told_apart_are_refused(own: Path, other: Path, tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match="two sets have the folder name other"):
        shift_set(own, [other, tmp_path / "elsewhere/other"], tmp_path / "out", 180)
    with pytest.raises(LeukoError, match="other is named twice: name each laboratory once"):
        shift_set(own, [other, other.parent / "." / other.name], tmp_path / "out", 180)


def test_a_set_that_is_no_folder_is_named(own: Path, other: Path, tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"othr does not exist: name a laboratory's folder .*did you mean other"):
        shift_set(own, [tmp_path / "othr"], tmp_path / "out", 180)
    with pytest.raises(LeukoError, match=r"split\.csv is a file: name a laboratory's folder"):
        shift_set(own, [other, own / "split.csv"], tmp_path / "out", 180)


def test_a_class_in_two_spellings_is_refused(own: Path, other: Path, tmp_path: Path) -> None:
    (other / "monocyte").mkdir()
    with pytest.raises(LeukoError, match=r"other has a class as '(MONOCYTE|monocyte)' and"):
        shift_set(own, [other], tmp_path / "out", 180)


def test_a_set_without_nuclei_is_named_with_its_class(own: Path, tmp_path: Path) -> None:
    for label in ("monocyte", "neutrophil"):
        write_png(tmp_path / f"blank/{label}/0.png", np.full((120, 120, 3), 200, np.uint8))
    with pytest.raises(LeukoError, match="blank shows no nucleus in any image of monocyte"):
        shift_set(own, [tmp_path / "blank"], tmp_path / "out", 180)


def test_sets_without_common_classes_are_refused(own: Path, tmp_path: Path) -> None:
    (tmp_path / "none/platelet").mkdir(parents=True)
    with pytest.raises(LeukoError, match="have 0 classes in common"):
        shift_set(own, [tmp_path / "none"], tmp_path / "out", 180)


def test_red_cells_are_not_taken_for_the_nucleus() -> None:
    nucleus = find_nucleus(smear(240, 50, (60, 70), 0))
    assert nucleus is not None
    assert nucleus[70, 60] and diameter_of(nucleus) == pytest.approx(50, rel=0.1)


def test_a_nucleus_that_the_border_cuts_is_left_out(own: Path, other: Path, tmp_path: Path) -> None:
    write_png(other / "MONOCYTE/cut.png", smear(120, 30, (5, 50), 0))
    *_, left = shift_set(own, [other], tmp_path / "out", 180).left_out
    assert left.path.endswith("cut.png") and left.reason == "shows a nucleus that the border cuts"


@pytest.mark.parametrize(
    ("place", "factor", "middle"), [((50, 60), 1.0, (40, 40)), ((25, 60), 1.0, (40, 25)), ((60, 60), 0.5, (40, 40))]
)
def test_a_cell_is_in_the_middle_unless_its_image_ends_there(
    place: tuple[int, int], factor: float, middle: tuple[int, int]
) -> None:
    image = smear(120, 30, place, 0)
    nucleus = find_nucleus(image)
    assert nucleus is not None
    cell = cell_around(image, nucleus, factor, 80)
    shown = find_nucleus(cell)
    assert cell.shape == (80, 80, 3) and shown is not None
    assert np.mean(np.nonzero(shown), axis=1) == pytest.approx(middle, abs=2)
