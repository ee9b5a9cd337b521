"""`leukosr data fetch pbc`: what is published comes whole or in part, and nothing else under its name."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from leukosr.data import pbc
from leukosr.data.fetch import fetch
from leukosr.data.pbc import ROOT, PublishedFile, fetch_pbc, published_files
from leukosr.errors import LeukoError
from leukosr.tables import read_own_rows

HERE = Path(__file__).resolve().parents[3] / "shared" / "data"
PARTS = {"basophil": "test", "monocyte": "train", "neutrophil": "val", "eosinophil": "train"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[PublishedFile]:
    """Eight files take the place of the published ones; the current folder is a project without DVC's own work."""
    found = [
        PublishedFile(f"{label}/{n}.jpg", part, hashlib.md5(f"{label}{n}".encode()).hexdigest())
        for label, part in PARTS.items()
        for n in range(2)
    ]
    monkeypatch.setattr(pbc, "published_files", lambda: found)
    monkeypatch.setattr("leukosr.data.fetch.run_dvc", lambda *_: "")
    (tmp_path / "project" / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    return found


def laid_out(folder: Path, files: list[PublishedFile], as_repository: bool) -> Path:
    for file in files:
        path = folder / (file.in_repository if as_repository else file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((file.label + path.stem).encode())
    return folder


@pytest.fixture
def repository(tmp_path: Path, files: list[PublishedFile]) -> tuple[str, str]:
    """A public repository with the files and others, and its commit."""
    root = laid_out(tmp_path / "repository", files, as_repository=True)
    (root / "wbc_resized").mkdir()
    (root / "wbc_resized/0.jpg").write_bytes(b"not needed")
    git = ("git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b.c")
    for words in (
        ("init", "--quiet"),
        ("config", "uploadpack.allowFilter", "true"),
        ("config", "uploadpack.allowAnySHA1InWant", "true"),
        ("add", "."),
        ("commit", "--quiet", "--message", "one"),
        ("commit", "--quiet", "--allow-empty", "--message", "two"),
    ):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD~1"], check=True, capture_output=True, text=True).stdout.strip()
    return root.as_uri(), commit


def test_the_table_holds_the_published_set() -> None:
    table = published_files()
    assert Counter(file.part for file in table) == {"train": 6169, "val": 1030, "test": 3099}
    assert {file.label for file in table} == {"basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil"}
    assert len({file.path for file in table}) == 10_298
    assert all(len(bytes.fromhex(file.md5)) == 16 for file in table)


@pytest.mark.parametrize("as_repository", [True, False])
def test_a_whole_folder_becomes_class_folders_and_a_split(
    files: list[PublishedFile], tmp_path: Path, as_repository: bool
) -> None:
    said = fetch("pbc", laid_out(tmp_path / "source", files, as_repository))
    assert "8 files in datasets/pbc" in said and "train whole (4); val whole (2); test whole (2)" in said
    rows = read_own_rows(ROOT / "split.csv")
    assert rows[1:] == [[file.path, file.label, file.part] for file in files]
    assert all((ROOT / file.path).is_file() for file in files)


def test_a_partial_folder_says_how_many_files_of_which_part_are_missing(
    files: list[PublishedFile], tmp_path: Path
) -> None:
    source = laid_out(tmp_path / "source", files[:3] + files[4:], as_repository=False)
    (source / "notes.txt").write_text("mine")
    said = fetch("pbc", source)
    assert "train 3 of 4, 1 missing; val whole (2)" in said and "1 other files there" in said
    assert len(read_own_rows(ROOT / "split.csv")) == 1 + 7
    assert not (ROOT / "notes.txt").exists()


def test_a_partial_folder_is_completed_later_but_a_whole_one_never_shrinks(
    files: list[PublishedFile], tmp_path: Path
) -> None:
    part = laid_out(tmp_path / "part", files[:3], as_repository=False)
    fetch("pbc", part)
    fetch("pbc", laid_out(tmp_path / "whole", files, as_repository=False))
    before = sorted(path for path in ROOT.rglob("*"))
    with pytest.raises(LeukoError, match="holds files that would be lost"):
        fetch("pbc", part)
    assert sorted(path for path in ROOT.rglob("*")) == before


@pytest.fixture
def manifest(files: list[PublishedFile], tmp_path: Path) -> Path:
    """A study had three of the eight files."""
    table = tmp_path / "manifest.csv"
    table.write_text("id,path\n" + "".join(f"{file.path[:-4]},{file.path}\n" for file in files[1:4]))
    return table


def test_only_the_images_of_a_published_study_come(
    files: list[PublishedFile], repository: tuple[str, str], manifest: Path, tmp_path: Path
) -> None:
    done = fetch_pbc(None, manifest, url=repository[0], commit=repository[1])
    assert done.sentence.startswith("3 files in datasets/pbc, each with its published MD5: train all 2 named")
    assert [row[0] for row in read_own_rows(ROOT / "split.csv")[1:]] == [file.path for file in files[1:4]]
    assert sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.jpg")) == [f.path for f in files[1:4]]
    shutil.rmtree(ROOT)
    said = fetch("pbc", laid_out(tmp_path / "part", files[2:], as_repository=False), manifest)
    assert said == (
        "2 files in datasets/pbc, each with its published MD5: train all 2 named; test 0 of 1, 1 missing; "
        "4 other files there were not taken"
    )


def test_a_manifest_of_another_set_is_refused(files: list[PublishedFile], manifest: Path, tmp_path: Path) -> None:
    manifest.write_text(manifest.read_text() + "b,TRAIN/b.jpg\n")
    with pytest.raises(LeukoError, match=r"names 1 file that is not of PBC \(TRAIN/b.jpg\): name the manifest.csv"):
        fetch("pbc", laid_out(tmp_path / "source", files, as_repository=False), manifest)
    manifest.write_text("id,path\n")
    with pytest.raises(LeukoError, match="names no image"):
        fetch("pbc", None, manifest)
    with pytest.raises(LeukoError, match="--only is for pbc"):
        fetch("bccd", None, manifest)
    assert not ROOT.exists()


def test_a_changed_byte_is_found_and_nothing_is_left_behind(files: list[PublishedFile], tmp_path: Path) -> None:
    source = laid_out(tmp_path / "source", files, as_repository=False)
    (source / files[4].path).write_bytes(b"another")
    with pytest.raises(LeukoError, match=rf"1 file with another MD5 than published: {files[4].path}"):
        fetch("pbc", source)
    assert not ROOT.exists()


def test_a_folder_of_other_things_is_refused(files: list[PublishedFile], tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match="holds none of the 8 files wanted: name the folder"):
        fetch("pbc", tmp_path)


def test_the_folders_of_the_five_classes_come_from_the_commit(
    files: list[PublishedFile], repository: tuple[str, str]
) -> None:
    done = fetch_pbc(None, url=repository[0], commit=repository[1])
    assert done.brought == done.wanted
    assert sorted(path.name for path in ROOT.iterdir()) == [*sorted(PARTS), "split.csv"]
    assert [path.name for path in ROOT.parent.iterdir()] == ["pbc"]


def test_a_repository_that_lacks_files_is_refused(files: list[PublishedFile], repository: tuple[str, str]) -> None:
    files.append(PublishedFile("basophil/9.jpg", "train", "0" * 32))
    with pytest.raises(LeukoError, match="holds 8 of the 9 files"):
        fetch_pbc(None, url=repository[0], commit=repository[1])
    assert not ROOT.exists()


@pytest.mark.parametrize("wrong", ["url", "commit"])
def test_without_the_internet_or_the_commit_one_sentence_says_what_to_do(
    files: list[PublishedFile], repository: tuple[str, str], wrong: str
) -> None:
    url, commit = repository
    url, commit = ("https://127.0.0.1:9/none.git", commit) if wrong == "url" else (url, "0" * 40)
    with pytest.raises(LeukoError, match=r"could not be reached, or lacks the commit .*--from PATH") as error:
        fetch_pbc(None, url=url, commit=commit)
    assert "\n" not in str(error.value)
    assert list(ROOT.parent.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not (HERE / "pbc").is_dir(), reason="the real images are not on this machine")
def test_real_images_are_those_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukosr.data.fetch.run_dvc", lambda *_: "")
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    said = fetch("pbc", HERE / "pbc")
    assert "train 2000 of 6169, 4169 missing; val whole (1030); test whole (3099)" in said
