"""Labels of split.csv against the folders of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from leukosr.data.catalogue import SetFile
from leukosr.data.contradictions import other_than_folders


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "split.csv").touch()
    return tmp_path


def files(*rows: tuple[str, str]) -> list[SetFile]:
    return [SetFile(path, label, "train") for path, label in rows]


def test_an_image_in_the_folder_of_another_class_is_told(root: Path) -> None:
    found = other_than_folders(root, files(("eos/1.png", "lym"), ("eos/2.png", "eos"), ("lym/3.png", "lym")))
    assert found == [
        "1 image lies in the folder of one class, but split.csv gives another (eos/1.png: lym); split.csv is used"
    ]


def test_only_the_first_are_named(root: Path) -> None:
    (found,) = other_than_folders(root, files(*((f"eos/{n}.png", "lym") for n in range(5)), ("eos/9.png", "eos")))
    assert found.startswith("5 images lie in") and "eos/2.png: lym and 2 more)" in found


NFC, NFD = "\u00e9", "e\u0301"


def test_the_innermost_folder_counts_in_whatever_unicode_form(root: Path) -> None:
    (found,) = other_than_folders(root, files((f"blood/{NFD}/1.png", "blood"), (f"blood/{NFC}/2.png", NFC)))
    assert found.startswith("1 image lies in") and f"{NFD}/1.png: blood" in found


@pytest.mark.parametrize(
    "rows",
    [
        [("EOS/1.png", "eos"), ("Lym/2.png", "lym")],
        [("train/eos/1.png", "eos"), ("test/lym/2.png", "lym")],
        [("cells/1.png", "eos"), ("cells/2.png", "lym")],
        [(f"blood/{NFD}/1.png", NFC), ("blood/2.png", "blood")],
        [("neutrophil/band/1.png", "band_neutrophil"), ("neutrophil/2.png", "neutrophil")],
        [("eos/1.png", ""), ("lym/2.png", "eos lym"), ("3.png", "eos"), ("lym/4.png", "lym")],
    ],
)
def test_other_folders_contradict_nothing(root: Path, rows: list[tuple[str, str]]) -> None:
    assert other_than_folders(root, files(*rows)) == []


def test_without_a_table_folders_alone_give_the_labels(tmp_path: Path) -> None:
    assert other_than_folders(tmp_path, files(("a/b/9.png", "a"), ("b/1.png", "b"))) == []
