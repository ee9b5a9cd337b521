"""The split.csv of a set with a folder for each part."""

from __future__ import annotations

from pathlib import Path

import pytest

from leukosr.data.parts import with_validation
from leukosr.data.split_table import split_by_folders

PARTS = {"train": "train", "valid": "val", "Test": "test"}
WHOLE = ["train/a/1.png", "train/b/1.png", "valid/a/1.png", "Test/a/1.png", "Test/b/1.png"]


def test_each_image_has_its_class_and_part() -> None:
    table = split_by_folders(PARTS, [*WHOLE, "valid/b/2.png", "Test/a/more/3.png"])
    assert table is not None
    rows = {row[0]: row[1:] for row in table.itertuples(index=False, name=None)}
    assert list(rows) == sorted(rows) and len(rows) == len(WHOLE) + 2
    assert rows["Test/a/more/3.png"] == ("a", "test") and rows["valid/b/2.png"] == ("b", "val")


@pytest.mark.parametrize(
    "image",
    [
        "train/1.png",
        "1.png",
        "extra/a/1.png",
        "train/_a/1.png",
        "valid/c/1.png",
        "valid/A/1.png",
        "train/c/1.png",
        "Test/c/1.png",
    ],
)
def test_a_set_with_other_images_or_classes_gets_none(image: str) -> None:
    assert split_by_folders(PARTS, WHOLE) is not None
    assert split_by_folders(PARTS, [*WHOLE, image]) is None


def test_one_folder_in_each_part_is_no_class() -> None:
    assert split_by_folders(PARTS, [f"{part}/images/{name}/1.png" for part in PARTS for name in "ab"]) is None


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (["Test", "train", "valid"], PARTS),
        (["Test", "train", "valid", "masks"], PARTS),
        (["test", "train"], None),
        (["test", "train", "val", "val2"], None),
        (["test", "train", "val", "TEST_SIMPLE"], None),
        (["test", "train", "val", "other"], None),
        (["a", "b", "c"], None),
    ],
)
def test_only_a_folder_for_each_part_counts(tmp_path: Path, folders: list[str], parts: dict[str, str] | None) -> None:
    for name in folders:
        (tmp_path / name).mkdir()
    assert with_validation(tmp_path) == parts
