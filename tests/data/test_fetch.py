from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from dvc.repo import Repo
from PIL import Image
from typer.testing import CliRunner

from leukosr.cli.entry import app
from leukosr.config import Params
from leukosr.data.adding import Added, adding
from leukosr.data.catalogue import check_images, find_images
from leukosr.data.fetch import fetch
from leukosr.data.mask_files import masks_of
from leukosr.errors import LeukoError
from leukosr.tables import read_table

PROJECT = Path(__file__).resolve().parents[2]
BCCD = PROJECT.parent / "shared" / "data" / "bccd"
PATIENCE = 20  # seconds that copying BCCD may take before the test is skipped


def images(folder: Path, *names: str) -> Path:
    """Different small images, one a name."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return folder


def add(name: str, path: Path, *, leave_out: bool, classes: bool = True) -> Added:
    with adding(name, path, leave_out=leave_out, classes=classes) as added:
        return added


def git(*words: str, cwd: Path) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", *identity, *words], cwd=cwd, check=True, capture_output=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def empty_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with DVC and nothing else."""
    root = tmp_path_factory.mktemp("empty")
    git("init", "--quiet", cwd=root)
    Repo.init(str(root)).close()
    (root / ".gitignore").write_text("/data\n")
    return root


@pytest.fixture(scope="module")
def tracked(empty_project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder of images, and what `dvc add` writes of it."""
    source = images(tmp_path_factory.mktemp("set") / "images", "TRAIN/A/1.jpg", "TRAIN/B/2.jpg", "TEST/A/3 é.jpg")
    project = tmp_path_factory.mktemp("tracking") / "project"
    shutil.copytree(empty_project, project)
    (project / ".gitignore").unlink()
    shutil.copytree(source, project / "data")
    with Repo(str(project)) as repo:
        repo.add(str(project / "data"))
    return source, yaml.safe_load((project / "data.dvc").read_text())["outs"][0]


@pytest.fixture
def dvc_project(empty_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh project that is the current folder."""
    root = tmp_path / "a project"
    shutil.copytree(empty_project, root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def project(dvc_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same for tests that end before `dvc add` and `dvc commit`, which take a second or two each."""
    for module in ("fetch", "adding"):
        monkeypatch.setattr(f"leukosr.data.{module}.run_dvc", lambda *_: "")
    return dvc_project


def point(project: Path, out: dict[str, Any], url: str = "https://127.0.0.1:9/none.git", **changes: Any) -> None:
    """Write data.dvc as the project has it, for another folder."""
    meta = {"url": url, "rev": "main", "path": "images"}
    (project / "data.dvc").write_text(yaml.safe_dump({"outs": [{**out, **changes}], "meta": meta}, sort_keys=False))


@pytest.mark.parametrize("older", [True, False], ids=["older", "none"])
def test_a_folder_with_the_right_hash_comes_to_data(
    dvc_project: Path, tracked: tuple[Path, dict[str, Any]], older: bool
) -> None:
    source, out = tracked
    point(dvc_project, out)
    pointer = yaml.safe_load((dvc_project / "data.dvc").read_text())
    if older:
        images(dvc_project / "data", "TEST/A/3 é.jpg")  # another image of that name: a damaged copy
    assert fetch("bccd", source).startswith("3 files")
    assert contents(dvc_project / "data") == contents(source)
    assert yaml.safe_load((dvc_project / "data.dvc").read_text()) == pointer
    with Repo(str(dvc_project)) as repo:
        assert repo.status() == {}
    assert entries(dvc_project) == {".git", ".dvc", ".dvcignore", ".gitignore", "data", "data.dvc"}


def test_files_in_data_that_are_not_bccds_are_not_lost(project: Path, tracked: tuple[Path, dict[str, Any]]) -> None:
    point(project, tracked[1])
    images(project / "data", "TEST/A/3 é.jpg", "thesis/figure.png", ".notes.png")
    before = contents(project / "data")
    with pytest.raises(LeukoError, match=r"data holds files that are not BCCD's .*: \.notes\.png, thesis/figure\.png"):
        fetch("bccd", tracked[0])
    assert contents(project / "data") == before


@pytest.mark.parametrize("command", ["fetch", "add"])
def test_a_set_is_brought_to_the_project_from_a_folder_below_it(
    project: Path, tracked: tuple[Path, dict[str, Any]], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    point(project, tracked[1])
    (project / "docs" / "deep").mkdir(parents=True)
    monkeypatch.chdir(project / "docs" / "deep")
    source = Path(os.path.relpath(tracked[0]))
    options = ["bccd", "--from", str(source)] if command == "fetch" else ["cells", str(source / "TRAIN")]
    result = CliRunner().invoke(app, ["data", command, *options])
    said = "3 files in data/, hash as in data.dvc" if command == "fetch" else "2 images in datasets/cells"
    assert result.exit_code == 0 and said in result.output
    brought = project / ("data/TRAIN" if command == "fetch" else "datasets/cells")
    assert contents(brought) == contents(tracked[0] / "TRAIN")
    assert Path.cwd() == project / "docs" / "deep"
    assert list(Path.cwd().iterdir()) == []


def test_the_folder_that_was_copied_is_not_touched(dvc_project: Path, tracked: tuple[Path, dict[str, Any]]) -> None:
    source = dvc_project.parent / "source"
    shutil.copytree(tracked[0], source)
    point(dvc_project, tracked[1])
    before = [(path.stat().st_mode, path.stat().st_nlink) for path in sorted(source.rglob("*"))]
    fetch("bccd", source)
    assert [(path.stat().st_mode, path.stat().st_nlink) for path in sorted(source.rglob("*"))] == before


def test_a_read_only_folder_can_be_taken(project: Path, tracked: tuple[Path, dict[str, Any]]) -> None:
    source = project.parent / "source"
    shutil.copytree(tracked[0], source)
    point(project, tracked[1])
    everything = [source, *source.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        fetch("bccd", source)
    finally:
        for path in everything:
            path.chmod(0o755)
    assert all(path.stat().st_mode & 0o200 for path in [project / "data", *(project / "data").rglob("*/")])


@pytest.mark.parametrize("older", [True, False], ids=["older", "none"])
@pytest.mark.parametrize("flaw", ["missing", "more", "changed", "renamed"])
def test_a_folder_with_another_hash_is_refused_and_data_stays(
    project: Path, tracked: tuple[Path, dict[str, Any]], flaw: str, older: bool
) -> None:
    source = project.parent / "source"
    shutil.copytree(tracked[0], source)
    point(project, tracked[1])
    file = source / "TRAIN/A/1.jpg"
    if flaw == "more":
        images(source, "TRAIN/A/4.jpg")
    elif flaw == "changed":
        file.write_bytes(file.read_bytes() + b"\0")
    elif flaw == "renamed":
        file.rename(source / "TRAIN/A/7.jpg")
    else:
        file.unlink()
    if older:
        images(project / "data", "old.jpg")
    before = contents(project / "data")
    with pytest.raises(LeukoError, match=r"the images are not BCCD as data\.dvc describes it") as error:
        fetch("bccd", source)
    assert f"expected {tracked[1]['md5']} (3 files" in str(error.value)
    assert str(source) in str(error.value)
    assert contents(project / "data") == before
    assert entries(project) - {"data"} == {".git", ".dvc", ".dvcignore", ".gitignore", "data.dvc"}


@pytest.mark.parametrize(
    "content",
    ["", "outs: 3\n", "outs: []\nmeta: {}\n", "outs: [{path: x, md5: a, nfiles: 1, size: 1}]\nmeta: 1\n", "a: [\n",
     "- 1\n", "outs: [{path: ../x, md5: a, nfiles: 1, size: 1}]\nmeta: {url: u, rev: r, path: p}\n"],
)  # fmt: skip
def test_a_pointer_that_was_changed_is_refused(project: Path, content: str) -> None:
    (project / "data.dvc").write_text(content)
    with pytest.raises(LeukoError, match=r"^data\.dvc is not "):
        fetch("bccd", project)


def test_a_folder_that_is_not_there_is_named(project: Path, tracked: tuple[Path, dict[str, Any]]) -> None:
    point(project, tracked[1])
    with pytest.raises(LeukoError, match=r"/nowhere does not exist: name the folder that holds TRAIN"):
        fetch("bccd", project / "nowhere")


def test_only_known_sets_can_be_fetched(project: Path) -> None:
    with pytest.raises(LeukoError, match=r"knows bccd and pbc, not 'raabin'; .* `leukosr data add`"):
        fetch("raabin", None)


def test_fetching_elsewhere_than_in_the_project_is_refused(project: Path) -> None:
    with pytest.raises(LeukoError, match=r"data\.dvc is missing in .*a project: take it from git again"):
        fetch("bccd", project)


@pytest.fixture
def repository(tracked: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A git repository that holds the images, as the public one does."""
    root = tmp_path / "public"
    shutil.copytree(tracked[0], root / "images")
    git("init", "--quiet", "--initial-branch=main", cwd=root)
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "-m", "images", cwd=root)
    return root


def test_the_images_come_from_the_repository_that_the_pointer_names(
    project: Path, tracked: tuple[Path, dict[str, Any]], repository: Path
) -> None:
    point(project, tracked[1], repository.as_uri())
    assert fetch("bccd", None).startswith("3 files")
    assert contents(project / "data") == contents(tracked[0])
    assert entries(project) == {".git", ".dvc", ".dvcignore", ".gitignore", "data", "data.dvc"}


def test_a_repository_with_other_images_is_refused(
    project: Path, tracked: tuple[Path, dict[str, Any]], repository: Path
) -> None:
    point(project, tracked[1], repository.as_uri(), md5="0" * 32 + ".dir")
    with pytest.raises(LeukoError, match="are not BCCD") as error:
        fetch("bccd", None)
    assert tracked[1]["md5"] in str(error.value)
    assert not (project / "data").exists()


def test_an_address_that_does_not_answer_gives_one_clear_sentence(
    project: Path, tracked: tuple[Path, dict[str, Any]]
) -> None:
    images(project / "data", "old.jpg")
    before = contents(project / "data")
    point(project, tracked[1], "https://127.0.0.1:9/none.git")  # port 9: nobody listens
    with pytest.raises(LeukoError) as error:
        fetch("bccd", None)
    message = str(error.value)
    assert message.startswith("https://127.0.0.1:9/none.git could not be reached (")
    assert "leukosr data fetch bccd --from PATH" in message
    assert "\n" not in message
    assert "Traceback" not in message
    assert contents(project / "data") == before
    assert entries(project) == {".git", ".dvc", ".dvcignore", ".gitignore", "data", "data.dvc"}


def seconds_to_copy(source: Path, target: Path, files: int) -> float:
    """How long copying the whole folder will take, from its first files."""
    sample = [path for path, _ in zip(source.rglob("*.jp*g"), range(200), strict=False)]
    target.mkdir()
    started = time.monotonic()
    for number, path in enumerate(sample):
        shutil.copyfile(path, target / str(number))
    return (time.monotonic() - started) / len(sample) * files


def test_bccd_has_the_hash_of_the_committed_pointer(project: Path) -> None:
    if not BCCD.is_dir():
        pytest.skip(f"{BCCD} is absent: the 12,515 real images are not part of the project")
    expected = seconds_to_copy(BCCD, project.parent / "sample", files=12_515)
    if expected > PATIENCE:
        pytest.skip(f"copying BCCD would take {expected:.0f} s on this disk")
    shutil.copyfile(PROJECT / "data.dvc", project / "data.dvc")
    assert fetch("bccd", BCCD).startswith("12515 files")
    assert {path.name for path in (project / "data").iterdir()} == {"TRAIN", "TEST", "TEST_SIMPLE"}
    shutil.rmtree(project)  # a quarter of a gigabyte


def test_added_images_are_checked_copied_and_put_under_dvc(dvc_project: Path) -> None:
    source = images(dvc_project.parent / "set", "a/1.png", "b/2.png", "b/3.png")
    (source / "sources.csv").write_text("path,source\na/1.png,s\nb/2.png,s\nb/3.png,t\n")
    before = contents(source)
    assert add("cells", source, leave_out=False) == Added(3, [], 0)
    assert contents(dvc_project / "datasets" / "cells") == before
    pointer = yaml.safe_load((dvc_project / "datasets" / "cells.dvc").read_text())["outs"][0]
    assert (pointer["path"], pointer["nfiles"]) == ("cells", 4)
    with Repo(str(dvc_project)) as repo:
        assert repo.status() == {}
    assert entries(dvc_project / "datasets") == {"cells", "cells.dvc", ".gitignore"}
    assert all(path.stat().st_nlink == 1 for path in source.rglob("*.png"))
    shutil.rmtree(dvc_project / "datasets" / "cells")
    with Repo(str(dvc_project)) as repo:
        repo.checkout()  # the cache holds it
    assert contents(dvc_project / "datasets" / "cells") == contents(source) == before


def test_links_are_added_as_the_images_they_lead_to(project: Path) -> None:
    source = images(project.parent / "set", "a/1.png", "b/2.png")
    (source / "a/1.png").rename(project.parent / "elsewhere.png")
    (source / "a/1.png").symlink_to("../../elsewhere.png")
    add("cells", source, leave_out=False)
    added = project / "datasets" / "cells" / "a" / "1.png"
    assert not added.is_symlink()
    assert added.read_bytes() == (project.parent / "elsewhere.png").read_bytes()


def test_train_and_test_folders_stay_where_they_are(project: Path, compose_params: Callable[..., Params]) -> None:
    names = [f"{part}/{label}/{number}.png" for part in ("Train", "Test-A") for label in "ab" for number in range(2)]
    add("raabin", images(project.parent / "set", *names), leave_out=False)
    settings = compose_params("study=case2").prepare
    assert [item.path for item in find_images(settings)] == sorted(names, key=lambda name: (name[1] != "r", name))


def test_a_set_with_a_split_csv_is_added_with_it(project: Path, compose_params: Callable[..., Params]) -> None:
    source = images(project.parent / "set", "1.png", "2.png")
    (source / "split.csv").write_text("path,label,split\n1.png,a,train\n2.png,b,val\n")
    assert add("pbc", source, leave_out=False) == Added(2, [], 0)
    found = find_images(compose_params("study=pbc", "prepare.classes=null").prepare)
    assert [(item.path, item.label, item.part) for item in found] == [("1.png", "a", "train"), ("2.png", "b", "val")]


def bad_set(folder: Path) -> Path:
    source = images(folder, "a/1.png", "b/2.png")
    (source / "a/empty.jpg").touch()
    (source / "b/notes.txt").write_text("x")
    (source / "b/copy.png").write_bytes((source / "a/1.png").read_bytes())
    (source / "a/.DS_Store").touch()
    (source / "a/Thumbs.db").touch()
    images(source, ".cache/9.png")
    return source


def test_a_set_with_bad_images_is_refused_and_nothing_is_brought(project: Path) -> None:
    source = bad_set(project.parent / "set")
    with pytest.raises(LeukoError, match=r"^3 files of .*/set cannot be used: ") as error:
        add("cells", source, leave_out=False)
    for part in (
        "a/empty.jpg is empty",
        "b/notes.txt is not an image file",
        "b/copy.png is a duplicate",
        "--leave-out",
    ):
        assert part in str(error.value)
    assert not (project / "datasets").exists()


def test_bad_images_can_be_left_out(project: Path) -> None:
    added = add("cells", bad_set(project.parent / "set"), leave_out=True)
    assert (added.images, added.split_rows) == (2, 0)
    assert {item.path for item in added.left_out} == {"a/empty.jpg", "b/notes.txt", "b/copy.png"}
    assert set(contents(project / "datasets" / "cells")) == {"a/1.png", "b/2.png"}


def test_a_split_csv_loses_the_rows_of_files_that_are_left_out(
    project: Path, compose_params: Callable[..., Params]
) -> None:
    source = images(project.parent / "set", "a/1.png", "b/2.png")
    (source / "b/copy.png").write_bytes((source / "a/1.png").read_bytes())
    rows = ["a/1.png;a;train;=x", "b\\copy.png;b;train;y", "b/2.png;b;test;z", "b/gone.png;b;test;"]
    (source / "split.csv").write_text("path;label;split;note\n" + "\n".join(rows))
    added = add("pbc", source, leave_out=True)
    assert (added.images, len(added.left_out), added.split_rows) == (2, 2, 2)
    kept = read_table(project / "datasets/pbc/split.csv", ("path", "note"), "a split")
    assert kept.to_numpy().tolist() == [["a/1.png", "a", "train", "=x"], ["b/2.png", "b", "test", "z"]]
    found = find_images(compose_params("study=pbc", "prepare.classes=null").prepare)
    assert check_images(project / "datasets/pbc", found, 10_000)[1] == []


def test_images_without_classes_come_in_where_that_is_said(
    project: Path, compose_params: Callable[..., Params]
) -> None:
    source = images(project.parent / "set", "1.png", "deep/2.png")
    (source / "README.txt").write_text("x")
    assert add("raabin_crops", source, leave_out=False, classes=False) == Added(2, [], 0)
    found = find_images(compose_params("study=case2_sr").prepare, labelled=False)
    assert [(item.path, item.label) for item in found] == [("1.png", ""), ("deep/2.png", "")]


def masked(source: Path, *names: str, value: int = 255) -> None:
    for name in names:
        (source / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32), value, np.uint8)).save(source / "masks" / name)


@pytest.mark.parametrize("table", [None, "path,label,split\na/1.png,a,train\nb/2.png,b,test\n"])
def test_masks_come_in_with_their_images(
    project: Path, compose_params: Callable[..., Params], table: str | None
) -> None:
    source = images(project.parent / "set", "a/1.png", "b/2.png")
    if table is not None:
        (source / "split.csv").write_text(table)
    masked(source, "a/1.png")
    added = add("pbc", source, leave_out=False)
    assert (added.images, added.left_out, added.split_rows, added.masks) == (2, [], 0, 1)
    assert added.notes == (
        "1 of 2 images have no mask, e.g. b/2.png: a network that needs masks will refuse them, so add masks/b/2.png",
    )
    settings = compose_params("study=pbc", "prepare.classes=null").prepare
    good, rejected = check_images(project / "datasets/pbc", find_images(settings), 10_000)
    assert rejected == []
    assert masks_of(project / "datasets/pbc", good) == {"a/1": "masks/a/1.png"}


def test_masks_without_an_image_are_named_and_damaged_ones_refused(project: Path) -> None:
    source = images(project.parent / "set", "a/1.png", "b/2.png")
    masked(source, "a/9.png")
    with pytest.raises(LeukoError, match=r"masks/a/9\.png is the mask of no image of the set"):
        add("cells", source, leave_out=False)
    added = add("cells", source, leave_out=True)
    assert [item.path for item in added.left_out] == ["masks/a/9.png"]
    assert not (project / "datasets/cells/masks").exists()
    masked(source, "a/1.png", value=7)
    with pytest.raises(LeukoError, match=r"masks/a/1\.png holds 1 other values"):
        add("others", source, leave_out=True)


def beside(source: Path, mask: Image.Image, name: str = "1.png") -> Path:
    """A set of two BMPs with their masks beside them; that of the first is `mask`, under `name`."""
    source.mkdir()
    for number in (1, 2):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (40, 48, 3), np.uint8)).save(
            source / f"{number}.bmp"
        )
    Image.fromarray(np.full((40, 48), 128, np.uint8)).save(source / "2.png")
    mask.save(source / name)
    return source


def test_masks_beside_their_images_move_to_a_folder_of_their_own(project: Path) -> None:
    source = beside(project.parent / "set", Image.fromarray(np.full((40, 48), 255, np.uint8)))
    assert add("cells", source, leave_out=False, classes=False) == Added(2, [], 0, masks=2)
    found = {file.relative_to(project / "datasets/cells").as_posix() for file in project.glob("datasets/cells/**/*.*")}
    assert found == {"1.bmp", "2.bmp", "masks/1.png", "masks/2.png"}
    assert (project / "datasets/cells/masks/1.png").read_bytes() == (source / "1.png").read_bytes()


def jpeg_smeared() -> Image.Image:
    drawn = np.zeros((40, 48), np.uint8)
    drawn[8:30, 8:30], drawn[12:20, 12:20] = 128, 255
    decoded = cv2.imdecode(cv2.imencode(".jpg", drawn)[1], cv2.IMREAD_GRAYSCALE)
    return Image.fromarray(np.asarray(decoded))


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (Image.new("L", (40, 48)), r"1\.png is 48x40, its image 40x48; make them one size"),
        (Image.new("L", (48, 40), 7), r"1\.png holds 1 other values, such as 7 .*; write 0 for the rest"),
        (Image.new("RGB", (48, 40)), r"1\.png has mode RGB, not 8-bit grey; write 0 for the rest"),
        (jpeg_smeared(), r"1\.png holds \d+ other values, .*it has been a JPEG or was resampled"),
    ],
)
def test_a_mask_beside_its_image_that_says_something_else_is_refused(
    project: Path, mask: Image.Image, said: str
) -> None:
    source = beside(project.parent / "set", mask)
    with pytest.raises(LeukoError, match=said):
        add("cells", source, leave_out=False, classes=False)
    assert not (project / "datasets/cells").exists()


def test_two_images_of_one_name_are_no_masks(project: Path) -> None:
    source = images(project.parent / "set", "a/1.png", "a/2.png")
    Image.fromarray(np.zeros((40, 48, 3), np.uint8)).save(source / "a/1.bmp")
    with pytest.raises(LeukoError, match=r"1\.png has the name of a/1\.bmp apart from the suffix"):
        add("cells", source, leave_out=False)


def test_a_jpeg_among_the_masks_is_refused(project: Path) -> None:
    source = images(project.parent / "set", "a/1.png", "b/2.png")
    (source / "masks/a").mkdir(parents=True)
    Image.new("L", (32, 32)).save(source / "masks/a/1.jpg")
    with pytest.raises(LeukoError, match=r"masks/a/1\.jpg is not a PNG, and lossy formats blur the borders"):
        add("cells", source, leave_out=False)


def test_sources_of_other_images_are_refused_at_the_door(project: Path) -> None:
    source = project.parent / "set"
    images(source, "a/1.png", "b/2.png")
    (source / "sources.csv").write_text("path,source\nx/1.png,P1\n")
    with pytest.raises(LeukoError, match=r"none of the 1 paths in .*sources\.csv is an image of the set, e\.g\. x/1"):
        add("cells", source, leave_out=False)
    assert not (project / "datasets" / "cells").exists()


def test_gaps_of_sources_are_counted_at_the_door(project: Path) -> None:
    source = images(project.parent / "set", "a/1.png", "b/2.png")
    (source / "sources.csv").write_text("path,source\na/1.png,P1\nx/1.png,P1\n")
    rows, without = add("cells", source, leave_out=False).notes
    assert rows.startswith("1 of 2 rows of ") and rows.endswith("name no image of the set, e.g. x/1.png")
    assert without.startswith("1 of 2 images have no source in ")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "/tmp/x", ".", "my cells"])
def test_a_name_that_is_no_folder_below_datasets_is_refused(project: Path, name: str) -> None:
    source = images(project.parent / "set", "a/1.png", "b/2.png")
    with pytest.raises(LeukoError, match="cannot be the name of a folder below datasets/"):
        add(name, source, leave_out=False)
    assert not (project / "datasets").exists()


def test_a_folder_that_a_study_draws_is_refused(project: Path) -> None:
    study = project / "conf/study/demo.yaml"
    study.parent.mkdir(parents=True)
    study.write_text("synthesize: {demo: {folder: datasets/demo}}")
    with pytest.raises(LeukoError, match="datasets/demo is drawn by `leukosr synthesize`"):
        add("demo", images(project.parent / "set", "a/1.png", "b/2.png"), leave_out=False)
    assert not (project / "datasets/demo").exists()


def test_a_set_of_that_name_is_not_overwritten(project: Path) -> None:
    old = images(project / "datasets" / "cells", "a/1.png")
    before = contents(old)
    with pytest.raises(LeukoError, match=r"datasets/cells exists already, unknown to DVC: move it away"):
        add("cells", images(project.parent / "set", "a/1.png", "b/2.png"), leave_out=False)
    assert contents(old) == before


@pytest.mark.parametrize("name", ["Cells", "my-cells"])
def test_a_set_of_nearly_that_name_is_refused_as_both_would_have_one_study(project: Path, name: str) -> None:
    images(project / "datasets" / {"Cells": "cells", "my-cells": "my_cells"}[name], "a/1.png")
    with pytest.raises(LeukoError, match="is a set of nearly this name, and both would have the study"):
        add(name, images(project.parent / "set", "a/1.png", "b/2.png"), leave_out=False)
    assert len(list((project / "datasets").iterdir())) == 1


def test_folders_without_images_are_named(project: Path) -> None:
    for name in "ab":
        (project.parent / "set" / name).mkdir(parents=True)
    with pytest.raises(LeukoError, match=r"the folders in .* hold no images: a, b; put those of each class"):
        add("cells", project.parent / "set", leave_out=False)


def test_a_pointer_without_its_images_is_not_replaced(project: Path) -> None:
    pointer = project / "datasets" / "cells.dvc"
    pointer.parent.mkdir()
    pointer.write_text("outs: []\n")  # as after git clone, before dvc pull
    with pytest.raises(
        LeukoError, match=r"cells\.dvc exists already: `dvc pull datasets/cells\.dvc` or .* restores the set"
    ):
        add("cells", images(project.parent / "set", "a/1.png", "b/2.png"), leave_out=False)
    assert contents(pointer.parent) == {"cells.dvc": b"outs: []\n"}


@pytest.mark.parametrize("ignored", [True, False], ids=["older .gitignore", "no .gitignore"])
@pytest.mark.parametrize("failure", [LeukoError("dvc"), KeyboardInterrupt()])
def test_a_set_that_dvc_could_not_take_leaves_nothing_behind(
    project: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, ignored: bool
) -> None:
    if ignored:
        (project / "datasets").mkdir()
        (project / "datasets" / ".gitignore").write_text("/older\n")

    def half_done(*_: str) -> str:
        (project / "datasets" / "cells.dvc").write_text("half")
        (project / "datasets" / ".gitignore").write_text("/cells\n")
        raise failure

    monkeypatch.setattr("leukosr.data.adding.run_dvc", half_done)
    with pytest.raises(type(failure)):
        add("cells", images(project.parent / "set", "a/1.png", "b/2.png"), leave_out=False)
    if ignored:
        assert contents(project / "datasets") == {".gitignore": b"/older\n"}
    else:
        assert not (project / "datasets").exists()


def test_the_error_of_dvc_is_shown_and_not_its_last_line(dvc_project: Path) -> None:
    (dvc_project / ".gitignore").write_text("/datasets\n")
    with pytest.raises(LeukoError) as error:
        add("cells", images(dvc_project.parent / "set", "a/1.png", "b/2.png"), leave_out=False)
    assert str(error.value) == (
        "`dvc add datasets/cells` failed (bad DVC file name 'datasets/cells.dvc' is git-ignored.): take the rule that "
        "covers it out of .gitignore"
    )
    assert not (dvc_project / "datasets").exists()


@pytest.mark.parametrize("present", [True, False], ids=["no class folders", "nothing"])
def test_a_folder_without_class_folders_is_not_added(project: Path, present: bool) -> None:
    source = project.parent / "set"
    if present:
        images(source, "1.png")
    with pytest.raises(
        LeukoError, match=r"holds no class folders.*--no-classes" if present else "does not exist: name"
    ):
        add("cells", source, leave_out=False)


def test_adding_outside_a_dvc_project_brings_nothing(outside: Path) -> None:
    source = images(outside / "set", "a/1.png", "b/2.png")
    with pytest.raises(LeukoError, match=rf"{outside} is not inside a DVC project: run the command inside your clone"):
        add("cells", source, leave_out=False)
    assert not os.path.lexists("datasets/cells")
    assert entries(source) == {"a", "b"}


def test_a_class_folder_that_a_command_wrote_is_named_and_kept(project: Path, tmp_path: Path) -> None:
    source = images(tmp_path / "set", *(f"{label}/{n}.png" for label in ("a", "b") for n in range(4)))
    (source / "b" / ".leukosr-output").write_text("{}")
    added = add("mine", source, leave_out=False)
    assert added.images == 8
    assert "b: results of an earlier command of LeukoSR, taken for a class like the others" in added.notes
