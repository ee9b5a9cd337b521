from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukosr.config import Params, Prepare
from leukosr.data.catalogue import Checked, Rejected, SetFile, check_images, find_images, unused_folders
from leukosr.errors import LeukoError

MAX_PIXELS = 1_000_000


@pytest.fixture(scope="session")
def prepare(compose_params: Callable[..., Params]) -> Prepare:
    return compose_params("study=case1").prepare


@pytest.fixture
def flat(prepare: Prepare, tmp_path: Path) -> Prepare:
    """Settings of a set without TRAIN and TEST."""
    return prepare.model_copy(update={"root": str(tmp_path), "train": None, "test": None, "reference": None})


@pytest.fixture
def parted(prepare: Prepare, tmp_path: Path) -> Prepare:
    return prepare.model_copy(update={"root": str(tmp_path)})


def add(root: Path, *names: str) -> None:
    """Different small images, one a name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = int.from_bytes(name.encode()[-6:], "big")
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)


def add_text(root: Path, name: str, content: str = "x") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def check(root: Path, found: list[SetFile]) -> tuple[list[str], dict[str, str]]:
    good, rejected = check_images(root, found, MAX_PIXELS)
    return [item.file.path for item in good], {item.path: item.reason for item in rejected}


def test_class_folders_are_listed_in_a_fixed_order(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "b/2.png", "b/10.png", "a/1.png", "a/deep/3.png")
    assert find_images(flat) == [
        SetFile("a/1.png", "a", "all"),
        SetFile("a/deep/3.png", "a", "all"),
        SetFile("b/10.png", "b", "all"),
        SetFile("b/2.png", "b", "all"),
    ]


def test_train_test_and_reference_folders_give_the_parts(parted: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "TRAIN/a/1.png", "TRAIN/b/2.png", "TEST/a/3.png", "TEST/b/4.png", "TEST_SIMPLE/a/5.png", "else/x.png")
    assert [(item.path, item.label, item.part) for item in find_images(parted)] == [
        ("TRAIN/a/1.png", "a", "train"),
        ("TRAIN/b/2.png", "b", "train"),
        ("TEST/a/3.png", "a", "test"),
        ("TEST/b/4.png", "b", "test"),
        ("TEST_SIMPLE/a/5.png", "a", "reference"),
    ]


def test_an_id_is_the_path_without_its_suffix() -> None:
    assert SetFile("TEST/a/_0_1.b.jpeg", "a", "test").image_id == "TEST/a/_0_1.b"


def test_classes_chooses_the_folders(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "a/1.png", "b/2.png", "c/3.png")
    chosen = find_images(flat.model_copy(update={"classes": ["c", "a"]}))
    assert {item.label for item in chosen} == {"a", "c"}


def test_classes_are_found_in_upper_or_lower_case_and_called_as_the_study_calls_them(
    flat: Prepare, tmp_path: Path
) -> None:
    add(tmp_path, "Basophil/1.png", "b/2.png", "B/3.png")
    named = flat.model_copy(update={"classes": ["basophil", "b"]})
    assert [(item.path, item.label) for item in find_images(named)] == [
        ("Basophil/1.png", "basophil"),
        ("b/2.png", "b"),
    ]
    split(tmp_path, "Basophil/1.png,BASOPHIL,train", "b/2.png,b,train", "B/3.png,B,val")
    assert [(item.path, item.label) for item in find_images(named)] == [
        ("Basophil/1.png", "basophil"),
        ("b/2.png", "b"),
    ]


def test_classes_that_differ_in_case_alone_stay_apart(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "B/1.png", "b/2.png")
    both = flat.model_copy(update={"classes": ["b", "B"]})
    expected = {("B/1.png", "B"), ("b/2.png", "b")}
    assert {(item.path, item.label) for item in find_images(both)} == expected
    split(tmp_path, "B/1.png,B,train", "b/2.png,b,train")
    assert {(item.path, item.label) for item in find_images(both)} == expected
    (tmp_path / "split.csv").unlink()
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(LeukoError, match=r"/b is missing; .* holds B"):
        find_images(both)


def test_two_spellings_of_one_class_are_refused(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "BASO/1.png", "Baso/2.png")
    with pytest.raises(LeukoError, match="writes the class baso as BASO and Baso: write it in one way"):
        find_images(flat.model_copy(update={"classes": ["baso"]}))


def test_a_missing_class_folder_is_named_with_those_that_are_there(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "a/1.png", "b/2.png")
    with pytest.raises(LeukoError, match=r"class folder .*/c is missing; .* holds a, b"):
        find_images(flat.model_copy(update={"classes": ["a", "c"]}))


def test_an_empty_class_folder_is_refused(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "a/1.png")
    (tmp_path / "b").mkdir()
    add_text(tmp_path, "b/.keep")
    with pytest.raises(LeukoError, match=r"class folder .*/b is empty"):
        find_images(flat)


def test_train_and_test_must_hold_the_same_classes(parted: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "TRAIN/a/1.png", "TRAIN/b/2.png", "TEST/a/3.png", "TEST_SIMPLE/a/5.png")
    with pytest.raises(LeukoError, match=r"TRAIN and TEST differ \(b is in only one of them\)"):
        find_images(parted)


@pytest.mark.parametrize("missing", ["TRAIN", "TEST", "TEST_SIMPLE"])
def test_a_missing_part_is_named(parted: Prepare, tmp_path: Path, missing: str) -> None:
    for part in {"TRAIN", "TEST", "TEST_SIMPLE"} - {missing}:
        add(tmp_path, f"{part}/a/1.png", f"{part}/b/2.png")
    with pytest.raises(LeukoError, match=rf"the folder .*/{missing} is missing"):
        find_images(parted)


def test_a_set_that_is_not_there_comes_with_the_command_that_brings_it(
    flat: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LeukoError, match="leukosr data add raabin PATH"):
        find_images(flat.model_copy(update={"root": str(tmp_path / "raabin")}))
    with monkeypatch.context() as patch, pytest.raises(LeukoError, match="leukosr data fetch bccd"):
        patch.chdir(tmp_path)
        find_images(flat.model_copy(update={"root": "data"}))


def test_a_folder_without_class_folders_is_refused(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "1.png", "2.png")
    with pytest.raises(LeukoError, match="holds no class folders"):
        find_images(flat)


def test_hidden_files_and_what_desktops_leave_are_ignored(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "a/1.png", "a/._1.png", "a/.ipynb_checkpoints/1-checkpoint.png", ".cache/x.png", "__MACOSX/a.png")
    add(tmp_path, "@eaDir/1.png/SYNOPHOTO_THUMB_XL.jpg", "a/@eaDir/1.jpg", "a/.@__thumb/1.png", "#recycle/1.png")
    for name in ("a/.DS_Store", "a/Thumbs.db", "a/desktop.ini"):
        add_text(tmp_path, name)
    assert [item.path for item in find_images(flat)] == ["a/1.png"]


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (("TRAIN", "TEST"), "prepare.train: TRAIN, prepare.test: TEST"),
        (("train", "val"), "prepare.train: train, prepare.test: val"),
        (("Training", "Validation", "Testing"), "prepare.train: Training, prepare.test: Testing"),
        (("Train", "Test-A", "Test-B"), "prepare.train: Train, prepare.test: Test-A"),
        (("TRAIN", "TEST", "TEST_SIMPLE"), "prepare.train: TRAIN, prepare.test: TEST"),
    ],
)
def test_parts_of_a_set_never_become_its_classes(
    flat: Prepare, tmp_path: Path, names: tuple[str, ...], remedy: str
) -> None:
    add(tmp_path, *(f"{name}/{label}/1.png" for name in names for label in "ab"))
    for classes in (None, ["a", "b"]):
        with pytest.raises(LeukoError, match=f"parts of a set, not classes; name {re.escape(remedy)}"):
            find_images(flat.model_copy(update={"classes": classes}))


def test_parts_without_class_folders_are_no_classes_either(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "train/1.png", "test/2.png")
    with pytest.raises(LeukoError, match="put the images of each class into a folder of its own in each, and name"):
        find_images(flat)


def test_one_class_may_be_called_like_a_part(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "test/1.png", "control/2.png", "trained/3.png", "value/4.png")
    assert {item.label for item in find_images(flat)} == {"test", "control", "trained", "value"}


def test_folders_that_nothing_comes_from_are_told(flat: Prepare, parted: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "TRAIN/a/1.png", "TRAIN/b/2.png", "TEST/a/3.png", "TEST/b/4.png", "TEST/c/5.png", "VAL/a/6.png")
    add(tmp_path, "masks/1.png", "TRAIN/_old/7.png", "@eaDir/1.png")
    chosen = parted.model_copy(update={"reference": None, "classes": ["a", "b"]})
    assert unused_folders(chosen, find_images(chosen)) == ["VAL", "TRAIN/_old", "TEST/c"]
    some = flat.model_copy(update={"root": str(tmp_path / "TEST"), "classes": ["a", "c"]})
    assert unused_folders(some, find_images(some)) == ["b"]


def test_a_name_that_is_no_utf8_is_refused_by_name(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "a/1.png", "a/2.png", "b/3.png")
    os.rename(tmp_path / "a" / "2.png", os.fsencode(tmp_path / "a") + b"/Neutr\xf3filo.png")
    good, rejected = check(tmp_path, find_images(flat))
    assert good == ["a/1.png", "b/3.png"]
    assert rejected == {"a/Neutr\\udcf3filo.png": "has a name that is not UTF-8: rename it"}
    os.rename(tmp_path / "b", os.fsencode(tmp_path) + b"/Neutr\xf3filo")
    with pytest.raises(LeukoError, match=r"Neutr\\udcf3filo has a name that is not UTF-8: rename it"):
        find_images(flat)


def test_masks_are_no_class_unless_asked_for(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "a/1.png", "masks/1.png")
    assert {item.label for item in find_images(flat)} == {"a"}
    assert {item.label for item in find_images(flat.model_copy(update={"classes": ["masks"]}))} == {"masks"}


def test_files_that_are_no_images_are_listed_and_refused(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "a/1.png")
    add_text(tmp_path, "a/notes.txt")
    add_text(tmp_path, "a/movie")
    add_text(tmp_path, "a/text.jpg", "not an image")
    good, rejected = check(tmp_path, find_images(flat))
    assert good == ["a/1.png"]
    assert set(rejected) == {"a/notes.txt", "a/movie", "a/text.jpg"}
    assert rejected["a/notes.txt"] == "is not an image file; accepted are .bmp, .jpeg, .jpg, .png, .tif, .tiff"
    assert rejected["a/text.jpg"] == "is not a JPEG: it holds no known image format"


def test_suffixes_in_capitals_are_images(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "a/1.PNG", "a/2.JPG")
    assert check(tmp_path, find_images(flat)) == (["a/1.PNG", "a/2.JPG"], {})


def test_of_files_with_the_same_bytes_the_first_is_kept(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "a/1.png", "b/3.png")
    for name in ("a/2.png", "b/1.png"):
        (tmp_path / name).write_bytes((tmp_path / "a/1.png").read_bytes())
    good, rejected = check(tmp_path, find_images(flat))
    assert good == ["a/1.png", "b/3.png"]
    assert rejected == {
        "a/2.png": "is a duplicate of a/1.png (same bytes)",
        "b/1.png": "is a duplicate of a/1.png (same bytes, but b here and a there: remove the wrong one)",
    }


def test_of_names_that_differ_in_the_suffix_the_first_is_kept(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "a/1.bmp", "a/1.png", "b/1.png")
    good, rejected = check(tmp_path, find_images(flat))
    assert good == ["a/1.bmp", "b/1.png"]
    assert rejected == {"a/1.png": "has the name of a/1.bmp apart from the suffix; rename one"}


def test_a_refused_file_takes_no_name_and_no_bytes(flat: Prepare, tmp_path: Path) -> None:
    add_text(tmp_path, "a/1.jpg", "")
    add_text(tmp_path, "b/1.jpg", "")
    add(tmp_path, "a/1.png")
    good, rejected = check(tmp_path, find_images(flat))
    assert good == ["a/1.png"]
    assert set(rejected.values()) == {"is empty (0 bytes)"}


def test_good_images_carry_their_size(tmp_path: Path) -> None:
    Image.new("RGB", (50, 40)).save(tmp_path / "1.png")
    found = SetFile("1.png", "a", "all")
    assert check_images(tmp_path, [found], MAX_PIXELS) == ([Checked(found, width=50, height=40)], [])
    assert check_images(tmp_path, [found], 1999) == (
        [],
        [Rejected("1.png", "has 40x50 pixels, more than prepare.max_pixels 1999 allows")],
    )


def split(root: Path, *rows: str, header: str = "path,label,split") -> None:
    add_text(root, "split.csv", "\n".join([header, *rows]) + "\n")


def test_a_split_csv_decides_over_folders(parted: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "x/1.png", "x/2.png", "y/3.png", "y/4.png", "y/5.png")
    split(tmp_path, "y/5.png,b,val", "x/1.png,a,train", "x/2.png,b, Train ", "./y/3.png,a,TEST", "y/4.png,b,validation")
    assert [(item.path, item.label, item.part) for item in find_images(parted)] == [
        ("x/1.png", "a", "train"),
        ("x/2.png", "b", "train"),
        ("y/3.png", "a", "test"),
        ("y/4.png", "b", "val"),
        ("y/5.png", "b", "val"),
    ]


def test_a_split_csv_may_have_more_columns_and_a_byte_order_mark(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "1.png")
    split(tmp_path, "1.png,train,blurred,a", header="\ufeffpath,split,note,label")
    assert find_images(flat) == [SetFile("1.png", "a", "train")]


def test_classes_chooses_labels_of_a_split_csv(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "1.png", "2.png", "3.png")
    split(tmp_path, "1.png,a,train", "2.png,b,train")
    chosen = find_images(flat.model_copy(update={"classes": ["b"]}))
    assert [(item.path, item.part) for item in chosen] == [("2.png", "train"), ("3.png", "unlisted")]
    with pytest.raises(LeukoError, match="has no label c"):
        find_images(flat.model_copy(update={"classes": ["b", "c"]}))


def test_images_that_split_csv_leaves_out_are_refused(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "a/1.png", "a/2.png", "a/.hidden.png")
    add_text(tmp_path, "a/readme.txt")
    split(tmp_path, "a/1.png,a,train")
    good, rejected = check(tmp_path, find_images(flat))
    assert good == ["a/1.png"]
    assert rejected == {"a/2.png": "is not listed in split.csv"}


def test_files_that_split_csv_lists_and_that_are_missing_are_refused(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "1.png")
    split(tmp_path, "1.png,a,train", "2.png,a,train")
    assert check(tmp_path, find_images(flat)) == (["1.png"], {"2.png": "does not exist, but split.csv lists it"})


@pytest.mark.parametrize("again", ["1.png,a,test", "1.png,a,train", ".\\1.png,a,train"])
def test_an_image_that_split_csv_lists_twice_is_refused(flat: Prepare, tmp_path: Path, again: str) -> None:
    add(tmp_path, "1.png")
    split(tmp_path, "1.png,a,train", again)
    with pytest.raises(LeukoError, match=r"line 3: 1\.png is already in line 2; keep one of the two"):
        find_images(flat)


def test_one_split_csv_in_any_form_says_the_same(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "x/1.png", "x/mu\u0308de.png")
    rows = "path,label,split\nx/1.png,a,train\nx/müde.png,b,test\n"
    expected = [SetFile("x/1.png", "a", "train"), SetFile("x/mu\u0308de.png", "b", "test")]
    forms = [
        rows, rows.replace(",", ";"), rows.replace(",", "\t"), rows.replace(",", " , "), rows.replace("/", "\\"),
        rows.replace("\n", "\r\n").replace("x/", "./x/"),
    ]  # fmt: skip
    for form in forms:
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            (tmp_path / "split.csv").write_bytes(form.encode(encoding))
            assert find_images(flat) == expected


def test_labels_of_split_csv_in_two_spellings_are_refused_unless_the_study_names_both(
    flat: Prepare, tmp_path: Path
) -> None:
    add(tmp_path, "1.png", "2.png")
    split(tmp_path, "1.png,Baso,train", "2.png,baso,train")
    with pytest.raises(LeukoError, match=r"split\.csv writes one class as 'Baso' and 'baso': write it in one way"):
        find_images(flat)
    assert len(find_images(flat.model_copy(update={"classes": ["Baso", "baso"]}))) == 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1.png,a,dev", "line 3: split is 'dev', allowed are train, val, valid, validation, test"),
        ("1.png,a,", "line 3: split is ''"),
        ("1.png,a", "line 3: split is ''"),
        ("1.png,,train", "line 3: 1.png has no label"),
        (",a,train", "line 3: needs a path"),
        ("../outside.png,a,train", "line 3: the path '../outside.png' does not lie below"),
        ("b/../../outside.png,a,train", "line 3: the path "),
        ("/etc/hostname,a,train", "line 3: the path '/etc/hostname' does not lie below"),
        ("..\\outside.png,a,train", "line 3: the path "),
        ("C:\\outside.png,a,train", "line 3: the path "),
        (".,a,train", "line 3: the path "),
        ("1.png,a,train,more", "line 3 has 4 cells, but 3 columns have names"),
    ],
)
def test_a_bad_row_of_split_csv_is_named_by_its_line(flat: Prepare, tmp_path: Path, row: str, said: str) -> None:
    add(tmp_path, "1.png", "2.png")
    split(tmp_path, "2.png,a,train", row)
    with pytest.raises(LeukoError) as error:
        find_images(flat)
    assert said in str(error.value)
    assert str(tmp_path / "split.csv") in str(error.value)


def test_a_row_without_its_path_is_named_by_its_line(flat: Prepare, tmp_path: Path) -> None:
    split(tmp_path, "a,train", header="label,split,path")
    with pytest.raises(LeukoError, match="line 2: needs a path"):
        find_images(flat)


def test_a_split_csv_without_its_columns_is_refused(flat: Prepare, tmp_path: Path) -> None:
    split(tmp_path, "1.png,train", header="file,split")
    with pytest.raises(
        LeukoError, match=r"lacks the columns path, label of a split .* it has file, split; rename yours"
    ):
        find_images(flat)


@pytest.mark.parametrize("content", [b"path,label,split\n\xff\xfe.png,a,train\n"], ids=["latin"])
def test_a_split_csv_that_is_no_text_is_refused(flat: Prepare, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "split.csv").write_bytes(content)
    with pytest.raises(LeukoError, match=r"split\.csv is not UTF-8 text"):
        find_images(flat)


@pytest.mark.parametrize("content", ["", "path,label,split\n"], ids=["empty", "header"])
def test_a_split_csv_without_images_is_refused(flat: Prepare, tmp_path: Path, content: str) -> None:
    add_text(tmp_path, "split.csv", content)
    with pytest.raises(LeukoError, match=r"split\.csv"):
        find_images(flat)


def test_inspection_can_be_done_elsewhere(tmp_path: Path) -> None:
    add(tmp_path, "1.png", "2.png")
    found = [SetFile("1.png", "a", "all"), SetFile("2.png", "a", "all")]
    asked: list[Path] = []

    def inspect_all(paths: list[Path]) -> list[object]:
        from leukosr.images.reading import inspect_image

        asked.extend(paths)
        return [replace(inspect_image(path, MAX_PIXELS), reason="is blurred") for path in paths]

    good, rejected = check_images(tmp_path, found, MAX_PIXELS, inspect_all)  # type: ignore[arg-type]
    assert asked == [tmp_path / "1.png", tmp_path / "2.png"]
    assert (good, [item.reason for item in rejected]) == ([], ["is blurred"] * 2)


def test_images_without_a_class_lie_anywhere_below_the_root(flat: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "1.png", "a/2.png", "a/deep/3.png", "masks/1.png", "a/masks/2.png")
    add_text(tmp_path, "readme.txt")
    add_text(tmp_path, "sources.csv", "path,source\n1.png,s\n")
    add_text(tmp_path, "a/notes.txt")
    found = find_images(flat, labelled=False)
    assert [(item.path, item.label, item.part) for item in found if item.reason is None] == [
        ("1.png", "", "all"), ("a/2.png", "", "all"), ("a/deep/3.png", "", "all"),
    ]  # fmt: skip
    assert [item.path for item in found if item.reason is not None] == ["a/notes.txt"]


def test_parts_hold_images_without_a_class(parted: Prepare, tmp_path: Path) -> None:
    add(tmp_path, "TRAIN/1.png", "TEST/x/2.png", "TEST_SIMPLE/3.png")
    found = find_images(parted, labelled=False)
    assert [(item.path, item.part) for item in found] == [
        ("TRAIN/1.png", "train"), ("TEST/x/2.png", "test"), ("TEST_SIMPLE/3.png", "reference"),
    ]  # fmt: skip
    shutil.rmtree(tmp_path / "TEST")
    (tmp_path / "TEST").mkdir()
    with pytest.raises(LeukoError, match=r"TEST holds no images: add some"):
        find_images(parted, labelled=False)


def test_a_split_csv_keeps_its_validation_part_and_needs_no_label_where_nothing_is_classified(
    flat: Prepare, tmp_path: Path
) -> None:
    add(tmp_path, "1.png", "2.png", "3.png")
    add_text(tmp_path, "split.csv", "path,split\n1.png,train\n2.png,valid\n3.png,test\n")
    found = find_images(flat, labelled=False)
    assert [(item.path, item.label, item.part) for item in found] == [
        ("1.png", "", "train"), ("2.png", "", "val"), ("3.png", "", "test"),
    ]  # fmt: skip
    with pytest.raises(LeukoError, match="label"):
        find_images(flat)
