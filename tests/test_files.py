from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leukosr.errors import LeukoError
from leukosr.files import _host, new_file, new_folder, write_json

FAILURES = [ValueError, KeyboardInterrupt]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_file_appears_under_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "table.csv"
    with new_file(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert (temporary.parent, temporary.suffix) == (path.parent, ".csv")
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert names(path.parent) == {"table.csv"}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_the_older_file_as_it_was(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "table.csv"
    path.write_text("older")
    with pytest.raises(failure), new_file(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert content(tmp_path) == {"table.csv": "older"}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_no_new_file(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), new_file(tmp_path / "table.csv") as temporary:
        temporary.write_text("half")
        raise failure
    assert names(tmp_path) == set()


def test_a_folder_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "lr"
    path.mkdir()
    (path / "older.txt").write_text("older")
    with new_folder(path) as temporary:
        (temporary / "newer.txt").write_text("newer")
        assert names(path) == {"older.txt"}
    assert content(path) == {"newer.txt": "newer"}
    assert names(tmp_path) == {"lr"}


def test_a_folder_brings_its_parents(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a" / "b" / "c") as temporary:
        (temporary / "x").write_text("x")
    assert content(tmp_path / "a" / "b" / "c") == {"x": "x"}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("older", [True, False], ids=["older", "none"])
def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path, older: bool, failure: type[BaseException]) -> None:
    path = tmp_path / "lr"
    if older:
        path.mkdir()
        (path / "older.txt").write_text("older")
    with pytest.raises(failure), new_folder(path) as temporary:
        (temporary / "newer.txt").write_text("half")
        raise failure
    assert names(tmp_path) == ({"lr"} if older else set())
    if older:
        assert content(path) == {"older.txt": "older"}


@pytest.mark.parametrize("interrupted", ["removal", "swap"])
def test_the_folder_is_whole_when_its_replacement_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: str
) -> None:
    path = tmp_path / "lr"
    path.mkdir()
    for number in range(3):
        (path / f"{number}.txt").write_text("older")
    replace, remove, calls = os.replace, shutil.rmtree, []

    def replace_and_stop(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    def remove_one_and_stop(folder: Path, ignore_errors: bool = False) -> None:
        if folder.exists() and any(file.name == "0.txt" for file in folder.iterdir()):
            (folder / "0.txt").unlink()
            raise KeyboardInterrupt
        remove(folder, ignore_errors=ignore_errors)

    if interrupted == "swap":
        monkeypatch.setattr("leukosr.files.os.replace", replace_and_stop)
    else:
        monkeypatch.setattr("leukosr.files.shutil.rmtree", remove_one_and_stop)
    with pytest.raises(KeyboardInterrupt), new_folder(path) as temporary:
        for number in range(3):
            (temporary / f"new{number}.txt").write_text("newer")
    assert len(names(path)) == 3
    assert len(set(content(path).values())) == 1


def test_the_folders_of_dead_processes_are_cleared_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    living = os.getppid()
    here = f"leukosr-{_host()}"
    left = {f".raw.{here}-{dead.pid}", f".raw.{here}-{dead.pid}.old"}
    kept = {f".raw.{here}-{living}", f".raw_too.{here}-{dead.pid}", ".raw.notes"}
    kept |= {f".raw.leukosr-0a1b2c3d-{dead.pid}"}  # of another machine, whose processes nobody here knows
    for name in left | kept:
        (tmp_path / name).mkdir()
    with new_folder(tmp_path / "raw"):
        pass
    assert names(tmp_path) == {"raw"} | kept


def test_the_files_of_dead_processes_are_cleared_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = f"leukosr-{_host()}"
    left = {f".table.csv.{here}-{dead.pid}.csv", f".other.png.{here}-{dead.pid}.png", f".bare.{here}-{dead.pid}"}
    kept = {f".table.csv.{here}-{os.getppid()}.csv", f".table.csv.leukosr-0a1b2c3d-{dead.pid}.csv", ".table.csv.swp"}
    for name in left | kept:
        (tmp_path / name).write_text("half")
    with new_file(tmp_path / "table.csv") as temporary:
        temporary.write_text("whole")
    assert names(tmp_path) == {"table.csv"} | kept


def test_what_a_killed_process_left_behind_does_no_harm(tmp_path: Path) -> None:
    left = tmp_path / f".lr.leukosr-{_host()}-{os.getpid()}"
    left.mkdir()
    (left / "stale.txt").write_text("stale")
    with new_folder(tmp_path / "lr") as temporary:
        (temporary / "newer.txt").write_text("newer")
    assert content(tmp_path / "lr") == {"newer.txt": "newer"}
    assert names(tmp_path) == {"lr"}


def test_the_last_good_copy_of_a_killed_process_comes_back(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f".lr.leukosr-{_host()}-{dead.pid}.old"
    left.mkdir()
    (left / "good.txt").write_text("good")
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "lr"):
        raise KeyboardInterrupt
    assert content(tmp_path / "lr") == {"good.txt": "good"}
    assert names(tmp_path) == {"lr"}


@pytest.mark.parametrize("older", [True, False], ids=["older", "none"])
def test_of_two_writers_of_one_folder_the_second_says_that_it_was_beaten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: bool
) -> None:
    path, replace = tmp_path / "lr", os.replace
    if older:
        path.mkdir()
        (path / "older.txt").write_text("older")

    def beaten(source: Path, target: Path) -> None:
        if target == path and not path.exists():  # another process comes just before
            path.mkdir()
            (path / "first.txt").write_text("first")
        replace(source, target)

    monkeypatch.setattr("leukosr.files.os.replace", beaten)
    beaten_words = "was written by another process at the same time: its result stays"
    with pytest.raises(LeukoError, match=beaten_words), new_folder(path) as temporary:
        (temporary / "second.txt").write_text("second")
    assert content(path) == {"first.txt": "first"}
    assert names(tmp_path) == {"lr"}


def test_a_folder_that_another_writer_moves_away_first_is_his(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, replace = tmp_path / "lr", os.replace
    path.mkdir()

    def beaten(source: Path, target: Path) -> None:
        if source == path:
            path.rmdir()
        replace(source, target)

    monkeypatch.setattr("leukosr.files.os.replace", beaten)
    with pytest.raises(LeukoError, match="was written by another process at the same time"), new_folder(path):
        pass
    assert names(tmp_path) == set()


LONG = {
    "ASCII": "x" * 251 + ".csv",
    "of two bytes a letter": "ö" * 125 + ".csv",
    "long suffix": "x." + "y" * 253,
    "not UTF-8": os.fsdecode(b"\xf3" * 251 + b".csv"),
}


@pytest.mark.parametrize("name", LONG.values(), ids=LONG)
def test_names_may_be_as_long_as_the_file_system_allows(tmp_path: Path, name: str) -> None:
    with new_file(tmp_path / name) as temporary:
        temporary.write_text("x")
    with new_folder(tmp_path / "folders" / name) as folder:
        (folder / "x").write_text("x")
    with new_folder(tmp_path / "folders" / name) as folder:
        (folder / "y").write_text("y")
    assert (tmp_path / name).read_text() == "x"
    assert content(tmp_path / "folders" / name) == {"y": "y"}
    assert (names(tmp_path), names(tmp_path / "folders")) == ({name, "folders"}, {name})


@pytest.mark.parametrize("make", [new_file, new_folder])
@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        ("file.txt/out", "a file is in the place of a folder"),
        ("file.txt/deep/out", "a file is in the place of a folder"),
        ("loop/out", "a file is in the place of a folder|links lead in a circle"),
        ("x" * 256, "choose a shorter name"),
    ],
)
def test_a_place_that_cannot_be_is_named_with_a_remedy(tmp_path: Path, make: Any, place: str, remedy: str) -> None:
    (tmp_path / "file.txt").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(LeukoError, match=remedy) as error, make(tmp_path / place) as temporary:
        temporary.touch()
    assert f"cannot write {tmp_path / place}: " in str(error.value)
    assert names(tmp_path) == {"file.txt", "loop"}
    assert (tmp_path / "file.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_a_folder_takes_the_place_of_no_file_and_no_link(tmp_path: Path, kind: str) -> None:
    path, mine = tmp_path / "out", tmp_path / "mine"
    if kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(mine)
    if kind == "link":
        mine.mkdir()
        (mine / "thesis.txt").write_text("mine")
    before = names(tmp_path)
    words = f"out is a {kind.rsplit(maxsplit=1)[-1]} where a folder is to be written: remove it"
    with pytest.raises(LeukoError, match=words), new_folder(path):
        pass
    assert names(tmp_path) == before
    assert kind != "link" or content(mine) == {"thesis.txt": "mine"}


def test_a_folder_lies_where_a_file_is_to_be_written(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").mkdir()
    with pytest.raises(LeukoError, match=r"cannot write .*metrics\.json: .*a folder is in the place of the file"):
        write_json(tmp_path / "metrics.json", {})
    assert names(tmp_path) == {"metrics.json"}


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_an_input_that_may_not_be_read_is_not_called_the_output(tmp_path: Path, make: Any) -> None:
    source = str(tmp_path / "source.png")
    with pytest.raises(PermissionError, match=r"source\.png"), make(tmp_path / "out"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), source)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        pytest.skip("this user (root?) may write to read-only folders")
    yield folder
    folder.chmod(0o755)


def test_a_read_only_folder_is_named_with_a_remedy(read_only: Path) -> None:
    path = read_only / "table.csv"
    with pytest.raises(LeukoError, match="make the folder writable") as error, new_file(path) as temporary:
        temporary.write_text("x")
    assert f"cannot write {path}" in str(error.value)
    with pytest.raises(LeukoError, match="make the folder writable"), new_folder(read_only / "lr"):
        pass


# a child drops its privileges, so that root can see the refusal too
AS_NOBODY = """
import os, sys
from pathlib import Path
from leukosr.errors import LeukoError
from leukosr.files import new_file, new_folder
try:
    os.setgid(65534); os.setuid(65534)
except PermissionError:
    sys.exit(77)
for make in (new_file, new_folder):
    try:
        with make(Path(sys.argv[1]) / "out") as temporary:
            temporary.write_text("x")
    except LeukoError as error:
        print(error)
"""


def test_a_folder_of_somebody_else_is_named_with_a_remedy() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can change to another user; the read-only test covers this one")
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, whose parents are closed to other users
        Path(folder).chmod(0o755)
        result = subprocess.run([sys.executable, "-c", AS_NOBODY, folder], capture_output=True, text=True, check=False)
        if result.returncode == 77:
            pytest.skip("this root may not change to another user")
        expected = f"cannot write {folder}/out: Permission denied; make the folder writable for you"
        assert result.stdout.splitlines() == [expected, expected], result.stderr
        assert names(Path(folder)) == set()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "another place"),
        (errno.EACCES, "make the folder writable"),
    ],
)
@pytest.mark.parametrize("make", [new_file, new_folder])
def test_what_the_system_refuses_comes_with_a_remedy(tmp_path: Path, make: object, number: int, remedy: str) -> None:
    with pytest.raises(LeukoError, match=remedy) as error, make(tmp_path / "out"):
        raise OSError(number, os.strerror(number))
    assert f"cannot write {tmp_path / 'out'}" in str(error.value)
    assert names(tmp_path) == set()


def test_a_full_disk_at_the_rename_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "metrics.json", {"n": 1})

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("leukosr.files.os.replace", refuse)
    with pytest.raises(LeukoError, match="free some space"):
        write_json(tmp_path / "metrics.json", {"n": 2})
    assert content(tmp_path) == {"metrics.json": '{\n  "n": 1\n}\n'}


def test_other_system_errors_come_through_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_file(tmp_path / "out") as temporary:
        (tmp_path / "missing").read_text()
    assert not temporary.exists()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or sys.platform != "linux":
        pytest.skip("a tiny disk is mounted on Linux only")
    command = [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_named_and_the_older_file_stays(tiny_disk: Path) -> None:
    path = tiny_disk / "weights.bin"
    path.write_bytes(b"older")
    with pytest.raises(LeukoError, match="free some space") as error, new_file(path) as temporary:
        temporary.write_bytes(bytes(1_000_000))
    assert f"cannot write {path}: No space left on device" in str(error.value)
    assert path.read_bytes() == b"older"
    assert names(tiny_disk) == {"weights.bin"}


def test_a_full_disk_leaves_no_half_written_folder(tiny_disk: Path) -> None:
    with pytest.raises(LeukoError, match="free some space"), new_folder(tiny_disk / "lr") as temporary:
        for number in range(100):
            (temporary / f"{number}.png").write_bytes(bytes(10_000))
    assert names(tiny_disk) == set()
    (tiny_disk / "room").write_bytes(bytes(30_000))  # the space is free again


def test_json_is_indented_and_ends_in_a_line_end(tmp_path: Path) -> None:
    write_json(tmp_path / "metrics.json", {"psnr": None, "n": 3})
    text = (tmp_path / "metrics.json").read_text()
    assert json.loads(text) == {"psnr": None, "n": 3}
    assert text == '{\n  "psnr": null,\n  "n": 3\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_what_is_no_number(tmp_path: Path, value: float) -> None:
    write_json(tmp_path / "metrics.json", {"n": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "metrics.json", {"psnr": {"mean": value}})
    assert content(tmp_path) == {"metrics.json": '{\n  "n": 1\n}\n'}
