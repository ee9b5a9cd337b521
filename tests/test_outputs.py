"""Folders named with --out: what the command did not write itself stays."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from leukosr.errors import LeukoError
from leukosr.files import new_file, new_folder
from leukosr.layout import Layout
from leukosr.outputs import MARKER, claimed


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a project with a finished study."""
    root = tmp_path / "project"
    for folder in ("outputs/demo/arms/raw", "reports/demo"):
        (root / folder).mkdir(parents=True)
        (root / folder / "result.txt").write_text("DVC's")
    monkeypatch.chdir(root)
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    return root


def write(out: Path, *files: str, command: str = "upscale") -> None:
    """What a stage does."""
    with claimed(out, command, Layout("demo")), new_folder(out) as folder:
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text("new")


def tree(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def results(folder: Path) -> dict[str, str]:
    return {name: text for name, text in tree(folder).items() if name != MARKER}


@pytest.mark.parametrize("there", [True, False], ids=["empty", "new"])
def test_a_new_or_empty_folder_is_written_and_marked(tmp_path: Path, there: bool) -> None:
    out = tmp_path / "deep" / "out"
    if there:
        out.mkdir(parents=True)
    write(out, "a/1.png")
    assert results(out) == {"a/1.png": "new"}
    assert json.loads((out / MARKER).read_text()) == {"command": "upscale", "files": ["a/1.png"]}


def test_an_earlier_result_of_the_command_is_replaced(tmp_path: Path) -> None:
    write(tmp_path / "out", "1.png", "2.png")
    write(tmp_path / "out", "3.png")
    write(tmp_path / "out", "4.png")
    assert results(tmp_path / "out") == {"4.png": "new"}


def rewritten(out: Path, *files: str) -> None:
    """What a command does that writes file by file."""
    with claimed(out, "enhance"):
        for file in files:
            with new_file(out / file) as temporary:
                temporary.write_text("new")


def test_files_that_an_earlier_run_left_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    rewritten(out, "1.png", "2.png", "3.png")
    rewritten(out, "1.png", "2.png", "3.png")
    assert capsys.readouterr().err == ""
    rewritten(out, "1.png", "4.png")
    assert capsys.readouterr().err == f"{out} also holds 2 files of an earlier run (2.png, 3.png)\n"
    assert results(out).keys() == {"1.png", "2.png", "3.png", "4.png"}
    with pytest.raises(ValueError, match="stopped"), claimed(out, "enhance"):
        raise ValueError("stopped")
    assert capsys.readouterr().err == "", "the error is enough"
    with claimed(out, "enhance", adds=True):
        (out / "5.png").write_text("new")
    assert capsys.readouterr().err == ""


def test_a_folder_that_is_replaced_holds_nothing_earlier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "out", "1.png", "2.png")
    write(tmp_path / "out", "2.png")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("marker", [None, "", "[]", "{}", '{"command": "upscale"}', "[" * 100_000])
def test_files_of_somebody_else_stay(tmp_path: Path, marker: str | None) -> None:
    out = tmp_path / "precious"
    (out / "chapters").mkdir(parents=True)
    (out / "thesis.txt").write_text("mine")
    if marker is not None:
        (out / MARKER).write_text(marker)
    before = tree(out)
    with pytest.raises(LeukoError, match=r"precious holds files that this command did not write \(.*thesis"):
        write(out, "1.png")
    assert tree(out) == before


def test_files_added_to_an_earlier_result_stay(tmp_path: Path) -> None:
    write(tmp_path / "out", "1.png")
    (tmp_path / "out" / "notes").mkdir()
    (tmp_path / "out" / "notes" / "thesis.txt").write_text("mine")
    before = tree(tmp_path / "out")
    with pytest.raises(LeukoError, match=r"this command did not write \(notes/thesis\.txt\): name a new folder"):
        write(tmp_path / "out", "2.png")
    assert tree(tmp_path / "out") == before


def test_links_added_to_an_earlier_result_stay(tmp_path: Path) -> None:
    write(tmp_path / "out", "1.png")
    (tmp_path / "out" / "mine").symlink_to(tmp_path / "project")
    with pytest.raises(LeukoError, match="this command did not write"):
        write(tmp_path / "out", "2.png")
    assert (tmp_path / "out" / "mine" / "outputs").is_dir()


def test_what_a_desktop_leaves_in_a_folder_is_nobodys(tmp_path: Path) -> None:
    write(tmp_path / "out", "1.png")
    (tmp_path / "out" / ".DS_Store").write_text("x")
    write(tmp_path / "out", "2.png")
    assert results(tmp_path / "out") == {"2.png": "new"}


def test_results_of_another_command_stay(tmp_path: Path) -> None:
    write(tmp_path / "out", "1.png")
    with pytest.raises(LeukoError, match="out holds results of `leukosr upscale`: remove it or name a new folder"):
        write(tmp_path / "out", "metrics.json", command="quality")
    assert results(tmp_path / "out") == {"1.png": "new"}


@pytest.mark.parametrize("out", [".", "..", "/", "../project", "../project/outputs/.."])
def test_the_folder_of_the_project_and_those_around_it_are_refused(project: Path, out: str) -> None:
    before = tree(project)
    with pytest.raises(LeukoError, match="is the folder that the command runs in, or contains it"):
        write(Path(out), "1.png")
    assert tree(project) == before


@pytest.mark.parametrize("out", ["images", "images/tiles", "elsewhere/../images/tiles/new"])
def test_what_a_command_reads_does_not_take_its_results(tmp_path: Path, out: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "elsewhere").mkdir()
    with (
        pytest.raises(LeukoError, match=r"lies in .*images, which the command reads: name a folder elsewhere"),
        claimed(tmp_path / out, "data tiles", reads=[tmp_path / "images"]),
    ):
        raise AssertionError("nothing may be written")
    assert not list((tmp_path / "images").iterdir())


@pytest.mark.parametrize("out", ["outputs/demo", "outputs/demo/arms/raw", "outputs/demo/mine", "reports/demo"])
def test_what_dvc_keeps_is_refused(project: Path, out: str) -> None:
    before = tree(project)
    with pytest.raises(LeukoError, match=f"{out} belongs to DVC, .*: omit --out"):
        write(Path(out), "1.png")
    assert tree(project) == before


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_links_and_files_are_refused(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    (tmp_path / "mine").mkdir()
    if kind == "file":
        out.write_text("mine")
    else:
        out.symlink_to("mine" if kind == "link" else "nowhere")
    with pytest.raises(LeukoError, match=f"out is a {kind.rsplit(maxsplit=1)[-1]}: name"):
        write(out, "1.png")
    assert list((tmp_path / "mine").iterdir()) == []
    assert os.path.lexists(out)


@pytest.mark.parametrize(
    ("out", "words"),
    [("file/out", "file is a file: name a new"), ("file/deep/out", "file is a file"), ("x" * 256, "a shorter name")],
)
def test_a_place_that_cannot_be_is_refused_before_the_work(tmp_path: Path, out: str, words: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LeukoError, match=words), claimed(tmp_path / out, "train-sr"):
        pytest.fail("the work has begun")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("out", ["shared", "shared/new", "shared/empty"])
def test_a_read_only_place_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    (tmp_path / "shared/empty").mkdir(parents=True)
    monkeypatch.setattr("leukosr.outputs.os.access", lambda path, mode: path != tmp_path / "shared")
    with pytest.raises(LeukoError, match=f"cannot write .*{out}: .*shared is read-only for you"):
        write(tmp_path / out, "1.png")


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_cut_command_can_be_run_again(tmp_path: Path, failure: type[BaseException]) -> None:
    out = tmp_path / "out"
    with pytest.raises(failure), claimed(out, "classify"):
        with new_folder(out / "paper") as folder:  # the first of two parts
            (folder / "predictions.csv").write_text("new")
        raise failure
    with claimed(out, "classify"), new_folder(out / "paper") as folder:
        (folder / "predictions.csv").write_text("newer")
    assert results(out) == {"paper/predictions.csv": "newer"}


def test_a_command_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="early"), claimed(tmp_path / "out", "classify"):
        raise ValueError("early")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK"])
def test_of_several_processes_the_first_alone_looks_and_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "1.png").write_text("of the first")
    with claimed(tmp_path / "out", "upscale"):
        pass
    assert tree(tmp_path / "out") == {"1.png": "of the first"}


COMMANDS: dict[str, list[str]] = {
    "synthesize": [], "prepare": [], "provenance": [], "degrade": [], "train-sr": ["--method", "srgan"],
    "upscale": ["--arm", "bicubic"], "quality": ["--arm", "bicubic"], "classify": ["--arm", "raw"], "sweep": [],
    "report": [],
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_stage_refuses_a_folder_of_somebody_else(
    command: str, project: Path, compose_raw: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    from leukosr import cli

    (project / "params.yaml").write_text(yaml.safe_dump(compose_raw("study=demo", "budget=smoke")))
    (project / "precious").mkdir()
    (project / "precious" / "thesis.txt").write_text("mine")
    monkeypatch.setattr("sys.argv", ["leukosr", command, *COMMANDS[command], "--out", "precious"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert "precious holds files that this command did not write (thesis.txt): name a new folder" in said
    assert tree(project / "precious") == {"thesis.txt": "mine"}


def test_what_a_killed_command_left_is_replaced_by_the_same_command(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / MARKER).write_text('{"command": "degrade", "files": null}')
    (out / ".lr.half").write_text("half-written")
    with claimed(out, "degrade"):
        (out / "lr.png").write_text("whole")
    with pytest.raises(LeukoError, match="holds results of `leukosr degrade`"), claimed(out, "upscale"):
        pass


def test_a_command_that_fails_at_once_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing"), claimed(tmp_path / "out", "degrade"):
        raise ValueError("nothing was written")
    assert not (tmp_path / "out").exists()
