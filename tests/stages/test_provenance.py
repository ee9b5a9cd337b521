"""`leukosr provenance FOLDER`: what it writes, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.data.provenance.disguise import STRENGTHS, disguised, field, write_jpeg

from leukosr.config import Params
from leukosr.data.manifest import read_manifest
from leukosr.data.provenance.facts import Shared
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.stages import prepare, provenance
from leukosr.stages.context import Context
from leukosr.stages.provenance import Search, run_folder


def run(root: Path, out: Path) -> str:
    console = Console(width=400)
    with console.capture() as said:
        run_folder(root, out, console, Search(state=out.parent / "state"))
    return said.get()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six fields in TRAIN; disguises of two of them in TEST, one under another label; a copy and a broken file."""
    root = tmp_path_factory.mktemp("set") / "smears"
    for number in range(6):
        write_jpeg(root / "TRAIN" / "ab"[number % 2] / f"{number}.jpg", field(number), 92)
    for number, label in ((0, "a"), (1, "a"), (6, "b")):
        image = disguised(field(number), STRENGTHS["mild"], np.random.default_rng(number))
        write_jpeg(root / "TEST" / label / f"v{number}.jpg", image, 90)
    write_jpeg(root / "TRAIN" / "a" / "again.jpg", field(4), 50)
    (root / "TRAIN" / "b" / "copy.jpg").write_bytes((root / "TRAIN" / "b" / "3.jpg").read_bytes())
    (root / "TRAIN" / "b" / "broken.jpg").write_bytes(b"no image")
    return root


def test_sources_splits_copies_and_contradictions_are_told(folder: Path, tmp_path: Path) -> None:
    said = run(folder, tmp_path / "out")
    assert "too little detail" not in said
    with (tmp_path / "out" / "sources.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "source", "confidence"]
    source = {row["image"]: row["source"] for row in rows}
    assert len(source) == 11
    assert source["TEST/a/v0.jpg"] == source["TRAIN/a/0.jpg"] != source["TRAIN/b/1.jpg"] == source["TEST/a/v1.jpg"]
    assert len(set(source.values())) == 7
    assert all(0 <= float(row["confidence"]) <= 1 for row in rows)
    assert "2 of 3 TEST images (67 %) share a micrograph with TRAIN images." in said
    assert "11 images show 7 sources, 1 left out, 1 source with more than one label" in said
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["exact_duplicates"] == [["TRAIN/b/3.jpg", "TRAIN/b/copy.jpg"]]
    assert summary["near_duplicates"] == [["TRAIN/a/4.jpg", "TRAIN/a/again.jpg"]]
    assert summary["label_conflicts"] == {source["TRAIN/b/1.jpg"]: {"a": 1, "b": 1}}
    assert "broken.jpg" in (tmp_path / "out" / "rejected.csv").read_text()
    assert not (tmp_path / "state").exists() or not any((tmp_path / "state").iterdir())


@pytest.mark.parametrize(
    ("count", "images", "share"),
    [(0, 20, " (0 %)"), (1, 12_513, " (< 0.1 %)"), (13, 3_096, " (0.4 %)"), (412, 498, " (83 %)"),
     (199, 200, " (> 99 %)"), (99, 100, " (99 %)"), (999, 1_000, " (> 99 %)"), (300, 300, " (100 %)"), (0, 0, "")],
)  # fmt: skip
def test_some_are_never_0_percent_and_all_but_one_never_100(count: int, images: int, share: str) -> None:
    said = f"{count} of {images:,} test images{share} share a micrograph with training images."
    assert Shared("test", "training", count, images).sentence == said


def test_what_is_left_out_is_told_and_links_are_followed(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "smears"
    root.mkdir()
    (root / "TRAIN").symlink_to(folder / "TRAIN")
    shutil.copytree(folder / "TEST", root / "TEST")
    for name in ("README.txt", "TEST/slide.svs", "TEST/Thumbs.db"):
        (root / name).write_text("x")
    Image.fromarray(np.zeros((32, 40_000, 3), np.uint8)).save(root / "TEST" / "thread.png")
    os.rename(shutil.copy(root / "TEST/a/v0.jpg", tmp_path), os.fsencode(root) + b"/TEST/Neutr\xf3filo.jpg")
    said = run(root, tmp_path / "out")
    assert "2 of 4 TEST images (50 %) share a micrograph with TRAIN images." in said
    assert "12 images show 8 sources, 4 left out" in said
    for sentence in (
        "left out: README.txt is not an image file",
        "left out: TEST/Neutr\\udcf3filo.jpg has a name that is not UTF-8: rename it",
        "left out: TEST/slide.svs is not an image file",
        "left out: TRAIN/b/broken.jpg is not a JPEG: it holds no known image format",
    ):
        assert sentence in said
        assert sentence.split()[2] in (tmp_path / "out" / "rejected.csv").read_text()


def test_the_page_shows_every_group_as_a_strip(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "11 images show 7 sources: 4 with several images, 3 with one" in page
    strips = sorted((tmp_path / "out" / "strips").glob("*.jpg"))
    assert len(strips) == 4
    assert all(f"strips/{strip.name}" in page for strip in strips)
    assert "<script" not in page and "://" not in page


def test_of_many_copies_the_page_names_the_first(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukosr.report.provenance_page.LISTED", 0)
    run(folder, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "1 groups of files with the same bytes, 1 linked pairs" in page and "there may be more such pairs" in page
    assert "The first 0 of each are named here" in page
    assert "copy.jpg" not in page and "copy.jpg" in (tmp_path / "out" / "summary.json").read_text()


def test_the_same_folder_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(folder, tmp_path / name / "out")
    for file in sorted((tmp_path / "one" / "out").rglob("*.*")):
        assert file.read_bytes() == (tmp_path / "two" / "out" / file.relative_to(tmp_path / "one" / "out")).read_bytes()


def test_other_folders_are_not_written_over(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(LeukoError, match="holds files that this command did not write"):
        run(folder, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("out", [".", "TRAIN", ".."])
def test_the_images_themselves_are_never_replaced(folder: Path, out: str) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(LeukoError, match="overlap: name a folder elsewhere"):
        run(folder, folder / out)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("make", "message"), [(False, "empty does not exist: name the folder"), (True, "0 usable images, at least 2")]
)
def test_a_folder_without_images_is_refused(tmp_path: Path, make: bool, message: str) -> None:
    if make:
        (tmp_path / "empty").mkdir()
    with pytest.raises(LeukoError, match=message):
        run(tmp_path / "empty", tmp_path / "out")


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three fields, and a turned copy of each, in one class folder."""
    root = tmp_path_factory.mktemp("copies") / "set"
    for number in range(3):
        write_jpeg(root / "A" / f"a{number}.jpg", field(number), 92)
        write_jpeg(root / "A" / f"b{number}.jpg", np.rot90(field(number)), 92)
    return root


PARTS = {"a": "train", "b": "Test "}
ROWS = ["path,label,split", *(f"A/{name}{n}.jpg,A,{part}" for name, part in PARTS.items() for n in range(3))]


@pytest.mark.parametrize(
    "table",
    ["\n".join(ROWS), "\r\n".join(ROWS).replace(",", ";"), "\n".join(ROWS).replace("/", "\\"), " \n".join(ROWS)],
    ids=["comma", "semicolon", "backslash", "blanks"],
)
def test_a_leak_between_the_parts_of_split_csv_is_said_in_whatever_form_it_is_written(
    copies: Path, tmp_path: Path, table: str
) -> None:
    (copies / "split.csv").write_text(table)
    said = run(copies, tmp_path / "out")
    assert "3 of 3 test images (100 %) share a micrograph with train images." in said
    assert "split.csv" not in said


def test_rows_and_images_that_split_csv_leaves_without_partner_are_said(copies: Path, tmp_path: Path) -> None:
    (copies / "split.csv").write_text("\n".join([*ROWS[:-1], "A/other.jpg,A,test"]))
    said = run(copies, tmp_path / "out")
    assert "2 of 2 test images (100 %) share a micrograph with train images." in said
    assert "1 of 6 rows of split.csv name no usable image, e.g. A/other.jpg" in said
    assert "1 of 6 images have no row in split.csv, e.g. A/b2.jpg" in said


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,part\n", r"split\.csv lacks the columns path, label, split"),
        ("path,label,split\nA/a0.jpg,A,dev\n", r"split\.csv line 2: split is 'dev'"),
        ("path,label,split\nX/a0.jpg,A,train\n", r"none of the 1 paths in .*split\.csv is a usable image .* X/a0\.jpg"),
    ],
)
def test_a_split_csv_that_is_wrong_is_refused_as_everywhere(
    copies: Path, tmp_path: Path, table: str, message: str
) -> None:
    (copies / "split.csv").write_text(table)
    with pytest.raises(LeukoError, match=message):
        run(copies, tmp_path / "out")


def test_of_images_without_detail_byte_copies_are_one_source_and_the_rest_is_not_known(tmp_path: Path) -> None:
    for part, greys in (("train", (200, 210)), ("test", (200, 220))):
        (tmp_path / "set" / part).mkdir(parents=True)
        for grey in greys:
            Image.new("RGB", (64, 64), (grey,) * 3).save(tmp_path / "set" / part / f"{grey}.png")
    said = run(tmp_path / "set", tmp_path / "out")
    assert "1 of 2 test images (50 %) share a micrograph with train images." in said
    told = "4 of 4 images show too little detail to be compared: of these, only copies of equal bytes are found."
    assert told in said and told in (tmp_path / "out" / "index.html").read_text()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["too_few_features"] == ["test/200.png", "test/220.png", "train/200.png", "train/210.png"]
    with (tmp_path / "out" / "sources.csv").open() as file:
        rows = {row["image"]: (row["source"], float(row["confidence"])) for row in csv.DictReader(file)}
    assert rows["test/200.png"] == rows["train/200.png"] == ("source-0001", 1)
    assert rows["test/220.png"] == ("source-0002", 0) and rows["train/210.png"] == ("source-0003", 0)


def test_where_small_images_do_not_count_the_sources_of_all_that_a_study_uses_are_found(
    compose_params: Callable[..., Params], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of ten images are too small: `provenance` and `prepare` draw alike only where both leave them out."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(120):
        path = Path("set", "AB"[number % 2], f"{number:03d}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        side = 40 if number % 10 < 2 else 64
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
    params = compose_params(
        "study=demo", "study.protocol=both", "prepare.root=set", "prepare.train=null", "prepare.test=null",
        "prepare.bad_images=leave_out", "+prepare.least_size=[64,64]", "budget.per_class.sr_train=4",
        "budget.per_class.sr_val=1", "budget.per_class.classifier=6", "runtime.workers=1",
    )  # fmt: skip
    context = Context(params, Layout("demo"), Console(quiet=True))
    provenance.run(context, "images")
    prepare.run(context)
    rows = read_manifest(context.layout.manifest)
    assert len(rows) == 96
    used = {row.id: row.source for row in rows if row.role("paper") != "unused"}
    assert len(used) == 2 * (4 + 1 + 6) and all(used.values())
    assert "smaller than prepare.least_size" in (context.layout.provenance / "rejected.csv").read_text()
