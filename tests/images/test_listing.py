from __future__ import annotations

from pathlib import Path

import pytest

from leukosr.images.decoding import NO_IMAGE
from leukosr.images.listing import RESULTS, list_files


def add(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def listed(folder: Path, without: Path | None = None) -> dict[str, str | None]:
    return {item.path.relative_to(folder).as_posix(): item.reason for item in list_files(folder, without)}


def test_files_are_listed_by_path_and_others_than_images_with_the_reason(tmp_path: Path) -> None:
    add(tmp_path, "b.png", "a/2.JPG", "a/10.tif", "notes.txt", "b.webp", ".hidden.png", ".cache/c.png")
    expected = {"a/10.tif": None, "a/2.JPG": None, "b.png": None, "b.webp": NO_IMAGE, "notes.txt": NO_IMAGE}
    assert listed(tmp_path) == expected
    assert list(listed(tmp_path)) == list(expected)


def test_linked_files_and_folders_are_followed(tmp_path: Path) -> None:
    add(tmp_path, "elsewhere/deep/1.png", "elsewhere/2.png", "set/3.png")
    (tmp_path / "set/test").symlink_to("../elsewhere")
    (tmp_path / "set/4.png").symlink_to("../elsewhere/2.png")
    assert listed(tmp_path / "set") == dict.fromkeys(["3.png", "4.png", "test/2.png", "test/deep/1.png"])


def test_every_folder_is_listed_once_and_at_its_own_place(tmp_path: Path) -> None:
    add(tmp_path, "set/z/1.png")
    for name in ("a", "b", "z/loop"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "set" / "z")
    (tmp_path / "set" / "out").symlink_to("..")
    (tmp_path / "set" / "self.png").symlink_to("self.png")
    found = listed(tmp_path / "set")
    assert [name for name, reason in found.items() if reason is None] == ["self.png", "z/1.png"]
    for name in ("a", "b", "out", "z/loop"):
        assert "which is listed elsewhere or contains it" in str(found[name])


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(tmp_path, "a/1.png", "b/2.png")

    def walk(top: Path, onerror: object) -> list[tuple[str, list[str], list[str]]]:
        onerror(PermissionError(13, "Permission denied", str(top / "a")))  # type: ignore[operator]
        return [(str(top / "b"), [], ["2.png"])]

    monkeypatch.setattr("os.walk", walk)
    assert listed(tmp_path) == {"a": "cannot be listed (Permission denied)", "b/2.png": None}


@pytest.mark.parametrize("link", [False, True])
def test_the_folder_to_write_into_is_left_out(tmp_path: Path, link: bool) -> None:
    add(tmp_path, "in/1.png", "in/out/1.png", "in/outer/2.png")
    without = tmp_path / "in/out"
    if link:
        without = tmp_path / "link"
        without.symlink_to(tmp_path / "in/out")
    assert listed(tmp_path / "in", without) == {"1.png": None, "outer/2.png": None}


def test_results_among_other_images_are_passed_over_and_named(tmp_path: Path) -> None:
    add(tmp_path, "a.png", "big/.leukosr-output", "big/a.png", "big/deep/.leukosr-output", "big/deep/b.png")

    def found(folder: Path) -> dict[str, str | None]:
        files = list_files(folder, results=False)
        return {item.path.relative_to(folder).as_posix(): item.reason for item in files}

    assert found(tmp_path) == {"a.png": None, "big": RESULTS}
    assert found(tmp_path / "big") == {"a.png": None, "deep": RESULTS}
    assert listed(tmp_path) == {"a.png": None, "big/a.png": None, "big/deep/b.png": None}
    (tmp_path / "a.png").unlink()
    assert found(tmp_path) == {"big/a.png": None, "big/deep/b.png": None}


@pytest.mark.parametrize(
    "name",
    [
        *("._a.png", ".DS_Store", "__MACOSX/a.png", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN/a.png", "Icon\r"),
        *("System Volume Information/a.png", "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "#recycle/a.png", ".@__thumb/a.png"),
        *("@Recycle/a.png", "lost+found/a.png", ".ipynb_checkpoints/a-checkpoint.png", ".Trash-1000/files/a.png"),
    ],
)
def test_what_systems_leave_is_passed_over(tmp_path: Path, name: str) -> None:
    add(tmp_path, "a.png", name, f"deep/{name}")
    assert listed(tmp_path) == {"a.png": None}
