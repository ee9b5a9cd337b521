"""`leukosr data add NAME PATH --study`: the study that it writes is one that runs."""

from __future__ import annotations

import io
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.conftest import CONF, compose_from
from typer.testing import CliRunner, Result

from leukosr.cli.entry import app
from leukosr.config import Params, parse_params
from leukosr.data.manifest import is_tested, read_manifest
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.stages import prepare
from leukosr.stages.context import Context

SIZE = (66, 50)  # width, height
Brings = Callable[[Path], None]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone as far as `data add` needs one; DVC's own part is tested in tests/data/test_fetch.py."""
    root = tmp_path / "clone"
    (root / ".dvc").mkdir(parents=True)
    shutil.copytree(CONF, root / "conf")
    monkeypatch.chdir(root)
    monkeypatch.setattr("leukosr.data.adding.run_dvc", lambda *_: "")
    return root


def draw(folder: Path, counts: dict[str, int]) -> Path:
    """So many different images in each folder."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def add(name: str, source: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["data", "add", name, str(source), *options])


def composed(project: Path, study: str) -> Params:
    return parse_params(compose_from(project / "conf", f"study={study}", "budget=smoke"), "conf")


def prepared(params: Params) -> Counter[str]:
    """The test images of each class that `prepare` chooses."""
    layout = Layout(params.study.name)
    prepare.run(Context(params, layout, Console(file=io.StringIO())))
    (protocol,) = params.study.protocols
    return Counter(row.label for row in read_manifest(layout.root / "manifest.csv") if is_tested(row, protocol))


def class_folders(source: Path) -> None:
    draw(source, {"no": 60, "1 # é": 30})


def parts(source: Path) -> None:
    draw(source, {"Train/a": 9, "Train/b": 8, "TEST/a": 3, "TEST/b": 4, "TEST_SIMPLE/a": 1})


def three_parts(source: Path) -> None:
    draw(source, {f"{part}/{name}": n for part, n in (("train", 8), ("valid", 4), ("test", 3)) for name in "ab"})


def sources(source: Path) -> None:
    draw(source, {"a": 20, "b": 20})
    rows = [f"{name}/{number}.png,{name}{number // 2}" for name in "ab" for number in range(20)]
    (source / "sources.csv").write_text("path,source\n" + "\n".join(rows))


def one_tested(source: Path) -> None:
    draw(source, {"train/a": 6, "train/b": 6, "test/a": 3, "test/b": 3})
    rows = [f"{path.relative_to(source).as_posix()},{path.parts[-3]}" for path in source.rglob("*.png")]
    (source / "sources.csv").write_text("path,source\n" + "\n".join(rows))


def few_sources(source: Path) -> None:
    draw(source, {"a": 12, "b": 12})
    rows = [f"{name}/{number}.png,{name}{number // 4}" for name in "ab" for number in range(12)]
    (source / "sources.csv").write_text("path,source\n" + "\n".join(rows))


def patients(source: Path) -> None:
    """Who show every class, as patients do."""
    draw(source, {"a": 40, "b": 40})
    rows = [f"{name}/{number}.png,P{number // 2}" for name in "ab" for number in range(40)]
    (source / "sources.csv").write_text("path,source\n" + "\n".join(rows))


def shared_sources(source: Path) -> None:
    draw(source, {"a": 12, "b": 12})
    rows = [f"{name}/{number}.png,{name}{number % 2}" for name in "ab" for number in range(12)]
    (source / "sources.csv").write_text("path,source\n" + "\n".join(rows))


def years(source: Path) -> None:
    draw(source, {f"{year}/{name}": 6 for year in (2019, 2020) for name in ("eos", "lym")})


def parts_in_classes(source: Path) -> None:
    draw(source, {f"{name}/{part}": 6 for name in "ab" for part in ("train", "test")})


def validated(source: Path) -> None:
    draw(source, {f"{part}/{name}": 6 for name in "ab" for part in ("train", "val")})


def gaps(source: Path) -> None:
    draw(source, {"a": 20, "b": 20})
    rows = [f"{name}/{number}.png,{name}{number // 2}" for name in "ab" for number in range(15)]
    (source / "sources.csv").write_text("path,source\n" + "\n".join(rows))


def table(source: Path) -> None:
    draw(source, {"cells": 12})
    rows = [f"cells/{n}.png,{'ab'[n % 2]},{'test' if n > 7 else 'train'}" for n in range(12)]
    (source / "split.csv").write_text("path,label,split\n" + "\n".join(rows))


def table_without_test(source: Path) -> None:
    draw(source, {"a": 12, "b": 12})
    rows = [f"{name}/{n}.png,{name},{'val' if n > 7 else 'train'}" for name in "ab" for n in range(12)]
    (source / "split.csv").write_text("path,label,split\n" + "\n".join(rows))


@pytest.mark.parametrize(
    ("brings", "protocol", "counts", "tested", "said"),
    [
        (
            table_without_test,
            "random_80_10_10",
            "a 12, b 12",
            "a 1 (1), b 1 (1)",
            "not under official: the set has parts for train and val but none for test",
        ),
        (
            validated,
            "official",
            "a 12, b 12",
            "a 6 (4), b 6 (4)",
            "tested on the folder val, as there is none for test",
        ),
        (
            gaps,
            "random_80_10_10",
            "a 20, b 20",
            "a 2 (2), b 2 (2)",
            "not under source_disjoint: 10 of 40 images name no",
        ),
        (gaps, "random_80_10_10", "a 20, b 20", "a 2 (2), b 2 (2)", "fill the empty cells of sources.csv"),
        (class_folders, "random_80_10_10", "1 # é 30, no 60", "1 # é 3 (3), no 6 (4)", "9 of 9 test"),
        (parts, "official", "a 12, b 12", "a 3 (3), b 4 (4)", "not used: TEST_SIMPLE"),
        (
            three_parts,
            "official",
            "a 15, b 15",
            "a 3 (3), b 3 (3)",
            "split.csv was written from the folders test, train, valid",
        ),
        (sources, "source_disjoint", "a 20, b 20", "a 4 (4), b 4 (4)", "with 4 test sources and 4 comparisons no diff"),
        (few_sources, "patient_disjoint", "a 12, b 12", "a 4 (4), b 4 (4)", "not under source_disjoint: class a has 3"),
        (
            patients,
            "patient_disjoint",
            "a 40, b 40",
            "a 4 (4), b 4 (4)",
            "class b has 0 sources to share out that no other class has (20 show several classes); at least 5 are",
        ),
        (shared_sources, "random_80_10_10", "a 12, b 12", "a 1 (1), b 1 (1)", "2 of 2 test sources are also in"),
        (
            parts_in_classes,
            "random_80_10_10",
            "a 12, b 12",
            "a 1 (1), b 1 (1)",
            "(test, train): a split.csv keeps these",
        ),
        (years, "random_80_10_10", "2019 12, 2020 12", "2019 1 (1), 2020 1 (1)", "the same folders (eos, lym)"),
        (
            one_tested,
            "official",
            "a 9, b 9",
            "a 3 (3), b 3 (3)",
            "the test has 1 source, and a verdict takes 3; add test images of more micrographs",
        ),
        (table, "official", "a 6, b 6", "a 2 (2), b 2 (2)", "every verdict will be inconclusive: 4 of 4 test images"),
    ],
)
def test_a_study_is_written_by_what_the_set_holds_and_can_be_prepared(
    project: Path, brings: Brings, protocol: str, counts: str, tested: str, said: str
) -> None:
    source = project.parent / "set"
    brings(source)
    result = add("My-cells", source, "--study")
    assert result.exit_code == 0, result.output
    params = composed(project, "my_cells")
    assert (params.study.protocol, params.image.height, params.image.width) == (protocol, 48, 64)
    first = {part.rsplit(" ", 2)[0]: int(part[part.index("(") + 1 : -1]) for part in tested.split(", ")}
    assert prepared(params) == first
    assert set(params.prepare.classes or ()) == set(first)
    for words in (
        f"({counts})", f": {tested}\n", said, f"{protocol} (", "next: dvc exp run -S study=my_cells -S ",
        "HR 48x64 (", "have 50x66 pixels, rounded down to multiples of 4)",
        "git add datasets/My-cells.dvc conf/study/my_cells.yaml\n",
    ):  # fmt: skip
        assert words in result.output
    alone = [name for name, count in re.findall(r"(\w+) (\d+) \(", tested) if count == "1"]
    assert re.findall(r"class (\w+) is tested on one image,", result.output) == alone
    assert ("class a is tested on one source," in result.output) == (brings in (one_tested, few_sources))


@pytest.mark.parametrize("brings", [class_folders, parts, three_parts, table, patients])
def test_a_set_gets_the_same_study_later(project: Path, brings: Brings) -> None:
    source = project.parent / "set"
    brings(source)
    assert add("first", source, "--study").exit_code == 0
    result = add("later", source)
    assert "next: `leukosr data study later`, or write" in result.output.replace("\n", " ")
    (project / "datasets/later.dvc").touch()
    made = CliRunner().invoke(app, ["data", "study", "later"])
    assert made.exit_code == 0 and "next: dvc exp run -S study=later" in made.output, made.output
    first, later = ((project / f"conf/study/{name}.yaml").read_text() for name in ("first", "later"))
    assert first.replace("first", "later") == later
    again = CliRunner().invoke(app, ["data", "study", "later"])
    assert "later.yaml exists already: run it with -S study=later, or move it away" in str(again.exception)
    brings(other := project.parent / "other")
    (project / "conf/study/more.yaml").touch()
    assert "data study" not in add("more", other).output, "it has a study already"


@pytest.mark.parametrize(
    ("valid", "said"),
    [
        ({"valid/c": 4, "valid/a": 4}, "not used: valid"),
        ({"valid/A": 4, "valid/b": 4}, "not used: valid"),
        ({"valid/u\u0308": 4}, "not used: valid"),
    ],
)
def test_a_validation_folder_of_other_classes_leaves_the_parts_as_they_were(
    project: Path, valid: dict[str, int], said: str
) -> None:
    draw(project.parent / "set", {f"{part}/{name}": 6 for part in ("train", "test") for name in "ab"} | valid)
    result = add("mine", project.parent / "set", "--study")
    assert result.exit_code == 0 and said in result.output and "protocol official" in result.output, result.output
    assert not (project / "datasets/mine/split.csv").exists()


def test_names_in_two_unicode_forms_get_no_split(project: Path) -> None:
    names = ["e\u0301/\u00fc", "b"]
    draw(project.parent / "set", {f"{part}/{name}": 6 for part in ("train", "test", "val") for name in names})
    result = add("mine", project.parent / "set", "--study")
    assert result.exit_code == 0 and "protocol official" in result.output, result.output
    assert not (project / "datasets/mine/split.csv").exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../hand", "cannot be the name"),
        ("../arms/raw", "cannot be the name"),
        ("hand/", "cannot be the name"),
        ("hand", "run `dvc add datasets/hand`"),
    ],
)
def test_a_folder_that_was_not_added_gets_no_study(project: Path, name: str, why: str) -> None:
    draw(project / "datasets/hand", {"a": 12, "b": 12})
    result = CliRunner().invoke(app, ["data", "study", name])
    assert isinstance(result.exception, LeukoError) and why in str(result.exception)


def test_a_damaged_image_of_a_set_is_named_with_what_can_be_done(project: Path) -> None:
    draw(project / "datasets/hand", {"a": 12, "b": 12})
    (project / "datasets/hand.dvc").touch()
    (project / "datasets/hand/a/0.png").write_bytes(b"no image")
    result = CliRunner().invoke(app, ["data", "study", "hand"])
    assert "a/0.png" in str(result.exception) and "with prepare.bad_images: leave_out" in str(result.exception)


def test_a_set_without_classes_gets_its_study_later(project: Path) -> None:
    result = add("crops", draw(project.parent / "set", {".": 12}), "--no-classes")
    assert "`leukosr data study crops --no-classes`" in result.output.replace("\n", " ")
    (project / "datasets/crops.dvc").touch()
    made = CliRunner().invoke(app, ["data", "study", "crops", "--no-classes"])
    assert made.exit_code == 0 and "data study crops: 12 images in datasets/crops\n" in made.output
    assert composed(project, "crops").study.measures == ["image_quality"]


def test_parts_without_classes_that_hold_images_themselves_are_told(project: Path) -> None:
    source = draw(project.parent / "set", {"train": 12, "test": 6})
    result = add("crops", source, "--no-classes", "--study")
    assert "not under official: test and train hold no folders; a split.csv" in result.output.replace("\n", " ")


def test_a_table_that_names_no_file_of_its_folder_is_named(project: Path) -> None:
    source = draw(project.parent / "set", {"a": 6, "b": 6})
    (source / "split.csv").write_text("path,label,split\nset/a/0.png,a,train\nset/b/0.png,b,test\n")
    result = add("mine", source, "--leave-out")
    assert str(result.exception) == (
        f"no row of {source / 'split.csv'} names a file in its folder, e.g. set/a/0.png: paths begin there"
    )


@pytest.mark.parametrize("name", ["${oc.env:HOME}", "a${b"])
def test_the_name_of_a_folder_is_no_interpolation(project: Path, name: str) -> None:
    refused = add("mine", draw(project.parent / "set", {name: 12, "other": 12}), "--study")
    assert name in str(refused.exception) and "rename the folder" in str(refused.exception)
    assert not (project / "datasets").exists()


def test_a_set_that_is_left_out_whole_is_not_added(project: Path) -> None:
    source = project.parent / "set"
    for name in "ab":
        (source / name).mkdir(parents=True)
        (source / name / "1.png").write_bytes(b"no image")
    result = add("mine", source, "--leave-out")
    assert "add others, as none is left" in str(result.exception) and "a/1.png" in str(result.exception)
    assert not (project / "datasets").exists()


@pytest.mark.parametrize(
    ("pointer", "remedy"), [(True, "dvc checkout datasets/mine.dvc"), (False, "data add mine PATH")]
)
def test_a_set_that_is_not_here_gets_no_study(project: Path, pointer: bool, remedy: str) -> None:
    if pointer:
        (project / "datasets").mkdir()
        (project / "datasets/mine.dvc").touch()
    result = CliRunner().invoke(app, ["data", "study", "mine"])
    assert isinstance(result.exception, LeukoError) and remedy in str(result.exception)
    assert not (project / "conf/study/mine.yaml").exists()


def test_images_without_classes_get_a_study_of_image_quality(project: Path) -> None:
    result = add("crops", draw(project.parent / "set", {".": 12}), "--no-classes", "--study")
    assert result.exit_code == 0 and "images 1 (1)\n" in result.output
    params = composed(project, "crops")
    assert (params.study.measures, params.classify, params.sweep.target) == (["image_quality"], {}, "train_sr")
    assert prepared(params) == {"": 1}


@pytest.mark.parametrize(
    ("sizes", "expected", "said"),
    [
        ([(1030, 515)], (512, 256), "10 of 10 images have 515x1030 pixels, shrunk to 512 at the longer side"),
        ([(1388, 1040)], (512, 380), "10 of 10 images have 1040x1388 pixels, shrunk to 512 at the longer side"),
        ([(60, 80)] * 4 + [(80, 60)] * 3 + [(120, 120)] * 3, (60, 80), "4 of 10 images have 80x60"),
        ([(40, 48), (120, 100), (300, 260)] * 3 + [(600, 600)], (120, 100), "3 of 10 images have 100x120"),
    ],
)
def test_hr_is_the_commonest_size_or_is_shrunk_in_its_shape(
    project: Path, sizes: list[tuple[int, int]], expected: tuple[int, int], said: str
) -> None:
    source = draw(project.parent / "set", {"a": 5, "b": 5})
    for place, path in enumerate(sorted(source.rglob("*.png"))):
        with Image.open(path) as small:
            small.resize(sizes[place % len(sizes)]).save(path.with_suffix(".bmp"))
        path.unlink()
    assert add("mine", source, "--study").exit_code == 0
    image = composed(project, "mine").image
    assert (image.width, image.height) == expected
    assert said in (project / "conf/study/mine.yaml").read_text()


def test_a_study_that_there_is_stays_and_no_image_is_copied(project: Path) -> None:
    before = (project / "conf/study/demo.yaml").read_bytes()
    result = add("Demo", draw(project.parent / "set", {"a": 3, "b": 3}), "--study")
    assert isinstance(result.exception, LeukoError) and "demo.yaml exists already" in str(result.exception)
    assert (project / "conf/study/demo.yaml").read_bytes() == before and not (project / "datasets").exists()


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({"a": 12}, "one class only"),
        ({"a": 12, "b": 2}, "class b has 2 images, at least 3"),
        ({"train/a": 3, "test/a": 2, "test/b": 2}, "class folders of train and test differ"),
    ],
)
def test_what_prepare_would_refuse_is_said_and_no_study_made(project: Path, counts: dict[str, int], why: str) -> None:
    source = draw(project.parent / "set", counts)
    refused = add("mine", source, "--study")
    assert isinstance(refused.exception, LeukoError) and why in str(refused.exception)
    assert not (project / "datasets").exists() and not (project / "conf/study/mine.yaml").exists()
    added = add("mine", source)
    assert added.exit_code == 0 and (project / "datasets/mine").is_dir()
    assert "`prepare` would refuse this set: " in added.output and why in added.output
    assert "next: write conf/study/mine.yaml" in added.output.replace("\n", " "), "`data study` would refuse it, too"


@pytest.mark.parametrize(("missing", "why"), [("conf", "holds no config.yaml"), ("conf/degrade", "cannot be composed")])
def test_a_set_is_not_blamed_for_a_project_without_a_configuration(project: Path, missing: str, why: str) -> None:
    shutil.rmtree(project / missing)
    source = draw(project.parent / "set", {"a": 12, "b": 12})
    refused = add("mine", source, "--study")
    assert isinstance(refused.exception, LeukoError) and why in str(refused.exception)
    assert not (project / "datasets").exists()
    added = add("mine", source)
    assert added.exit_code == 0 and (project / "datasets/mine").is_dir()
    assert "was not tried on this set: " in added.output and why in added.output
    assert "would refuse" not in added.output


def test_of_two_copies_the_one_in_a_class_folder_is_kept(project: Path, tmp_path: Path) -> None:
    source = draw(tmp_path / "mine", {"_old": 1, "dark": 2, "light": 2})
    shutil.copyfile(source / "light/1.png", source / "_old/again.png")
    shutil.copyfile(source / "light/0.png", source / "dark/0.png")
    done = add("mine", source, "--leave-out")
    assert done.exit_code == 0, done.output
    assert "left out: _old/again.png is a duplicate of light/1.png (same bytes)" in done.output
    assert "light/0.png is a duplicate of dark/0.png (same bytes, but light here and dark there: remove" in done.output


def test_empty_folders_are_named(project: Path, tmp_path: Path) -> None:
    source = draw(tmp_path / "mine", {"dark": 2, "light": 2})
    for name in ("none", "light/deep", ".hidden"):
        (source / name).mkdir()
    done = add("mine", source)
    assert done.exit_code == 0, done.output
    assert "empty folders, which are not used: light/deep, none" in done.output


def test_an_error_says_how_many_files_it_does_not_name(project: Path, tmp_path: Path) -> None:
    source = draw(tmp_path / "mine", {"dark": 2, "light": 2})
    for number in range(22):
        (source / f"dark/{number}.txt").write_text("no image")
    done = add("mine", source)
    assert done.exit_code == 1 and "; and 2 more. Fix or remove them, or add --leave-out" in str(done.exception)


@pytest.mark.parametrize("options", [(), ("--study",)])
@pytest.mark.parametrize("part", ["", "Train/"])
def test_a_class_in_two_spellings_is_refused(
    project: Path, tmp_path: Path, options: tuple[str, ...], part: str
) -> None:
    source = draw(tmp_path / "source", {f"{part}{name}": 2 for name in ("Eos", "eos", "Lym")} | {"Test/Eos": 2})
    found = add("own", source, *options)
    assert str(found.exception).endswith("writes the name of one folder as 'Eos' and 'eos': write it in one way")
    assert not Path("datasets/own").exists()


@pytest.mark.parametrize("inner", ["archive", "archive/images/cells"])
def test_a_folder_around_the_class_folders_is_told(project: Path, tmp_path: Path, inner: str) -> None:
    draw(tmp_path / "download" / inner, {"dark": 2, "light": 2})
    (tmp_path / "download/masks").mkdir()
    done = add("mine", tmp_path / "download")
    said = (
        f"only the folder {inner}, with dark, light in it: if those are the classes, name {tmp_path}/download/{inner};"
    )
    assert done.exit_code == 1 and said in str(done.exception)
    assert add("mine", tmp_path / "download" / inner).exit_code == 0
