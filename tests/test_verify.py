"""`leukosr verify`: every changed byte of what DVC keeps is found, and what it advises brings the bytes back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from typer.testing import CliRunner

from leukosr.cli import app
from leukosr.errors import LeukoError
from leukosr.verify import Copy, Output, Verified, missing_remedies, named_outputs, remedies, verify

STAGES = {
    "shrink": {
        "cmd": "mkdir -p outputs/lr && cp datasets/mine/a/*.txt outputs/lr && echo made > outputs/lr/own.txt",
        "deps": ["datasets/mine"], "outs": ["outputs/lr"],
    },
    "count": {"cmd": "ls outputs/lr > outputs/count.csv", "deps": ["outputs/lr"], "outs": ["outputs/count.csv"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a set under DVC and a finished pipeline of two stages."""
    root = tmp_path_factory.mktemp("verify") / "project"
    (root / "datasets/mine/a").mkdir(parents=True)
    for number in range(4):
        (root / f"datasets/mine/a/{number} ö.txt").write_text(f"image {number}\n" * 50)
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    with contextlib.chdir(root):
        Repo.init(".").close()
        (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
        with Repo() as repo:
            repo.add("datasets/mine")
            repo.reproduce()
    return root


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with links as DVC makes them, that is the working directory."""
    root = tmp_path / "project"
    subprocess.run(["cp", "-a", str(finished), str(root)], check=True)
    monkeypatch.chdir(root)
    return root


def cached(file: Path) -> Path:
    digest = hashlib.md5(file.read_bytes()).hexdigest()
    return Path(".dvc/cache/files/md5") / digest[:2] / digest[2:]


def flip(file: Path) -> None:
    """Change one bit and nothing that the file system tells of the file."""
    about = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    with file.open("r+b") as stream:
        stream.write(content)
    file.chmod(about.st_mode)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


def run() -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["verify"])
    return result.exit_code, result.output.splitlines()


def test_a_project_as_dvc_left_it_is_good(project: Path) -> None:
    code, lines = run()
    assert (code, lines) == (0, ["verify: 18 files in workspace and cache hashed, 0 bad, 0 missing, 0 not checked"])


LOST = {
    "workspace": (["lr/1 ö.txt"], [], lambda repo: repo.checkout(["outputs/lr"])),
    "cache": ([], ["lr/1 ö.txt"], lambda repo: repo.commit("shrink", force=True)),
    "both": (["lr/own.txt"], ["lr/own.txt"], lambda repo: repo.reproduce("shrink")),
    "a file of its own": (["count.csv"], [], lambda repo: repo.checkout(["outputs/count.csv"])),
    "listing": ([], [".dir"], lambda repo: repo.commit("shrink", force=True)),
}
ADVICE = {
    "workspace": "outputs/lr: remove what is bad, then `dvc checkout outputs/lr`, as the cache is good",
    "cache": "outputs/lr: remove what is bad, then `dvc commit --force shrink`, as the workspace is good",
    "both": "outputs/lr: remove what is bad, then `dvc pull shrink` where a remote holds it, else `dvc repro shrink`",
    "a file of its own": "outputs/count.csv: remove what is bad, then `dvc checkout outputs/count.csv`, as the cache",
    "listing": "outputs/lr: remove what is bad, then `dvc commit --force shrink`, as the workspace is good",
}


@pytest.mark.parametrize("where", LOST)
def test_what_is_bad_is_named_and_the_advice_brings_it_back(project: Path, where: str) -> None:
    in_workspace, in_cache, remedy = LOST[where]
    outputs, _ = named_outputs(project)
    listing = next(output.digest for output in outputs if output.path == "outputs/lr")
    objects = Path(".dvc/cache/files/md5", listing[:2], listing[2:])
    bad = [objects if name == ".dir" else cached(Path("outputs", name)) for name in in_cache]
    for name in in_workspace:  # a link to the cache would damage both
        file = Path("outputs", name)
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
    bad += [Path("outputs", name) for name in in_workspace]
    for file in bad:
        flip(file)
    code, lines = run()
    assert code == 1
    assert [line for line in lines if line.startswith("bad: ")] == [
        line for file in bad for line in lines if line.startswith(f"bad: {file}")
    ]
    assert sum(line.startswith("bad: ") for line in lines) == len(bad)
    assert any(line.startswith(ADVICE[where]) for line in lines), lines
    for file in bad:
        file.unlink()
    with Repo() as repo:
        remedy(repo)
    assert run()[0] == 0


def test_an_object_of_a_set_is_named_with_the_ways_to_bring_the_set(project: Path) -> None:
    file = Path("datasets/mine/a/2 ö.txt")
    stored = cached(file)
    for bad in (file, stored):
        flip(bad)
    code, lines = run()
    assert code == 1
    assert any(line.startswith(f"bad: {stored} (") and "datasets/mine/a/2 ö.txt" in line for line in lines), lines
    words = "datasets/mine: remove what is bad, then `dvc pull datasets/mine.dvc` where a remote holds it, else `"
    assert any(line.startswith(words) for line in lines), lines


def test_what_is_not_there_is_counted_apart_and_is_nothing_bad(project: Path) -> None:
    for file in ("count.csv", "lr/own.txt"):
        cached(Path("outputs", file)).unlink()
    shutil.rmtree("outputs/lr")
    code, lines = run()
    assert code == 0
    assert lines[:3] == [
        "missing: 4 files of outputs/lr in the workspace",
        "missing: 1 file of outputs/lr in the cache and the workspace",
        "missing: outputs/count.csv in the cache",
    ]
    assert lines[-1] == "verify: 11 files in workspace and cache hashed, 0 bad, 6 missing, 0 not checked"


ONLY_CACHED = {  # files lost from the cache and from the workspace, and what `dvc commit` can bring back
    "all of the cache": ([], [], ["shrink", "count", "datasets/mine.dvc"]),
    "a file": (["outputs/count.csv"], [], ["count"]),
    "a file of a folder": (["outputs/lr/own.txt"], [], ["shrink"]),
    "a file here and another one there": (["outputs/lr/own.txt"], ["outputs/lr/1 ö.txt"], []),
    "both copies of a file": (["outputs/lr/own.txt"], ["outputs/lr/own.txt"], []),
}


@pytest.mark.parametrize("lost", ONLY_CACHED)
def test_what_only_the_cache_lacks_comes_back_by_the_advice(project: Path, lost: str) -> None:
    in_cache, in_workspace, targets = ONLY_CACHED[lost]
    for file in in_cache:
        cached(Path(file)).unlink()
    for file in in_workspace:
        Path(file).unlink()
    if not in_cache:
        shutil.rmtree(".dvc/cache/files/md5")
    code, lines = run()
    assert code == 0 and " 0 missing" not in lines[-1]
    advice = f"what only the cache lacks: put it there by `dvc commit {' '.join(targets)}`, as the workspace is good"
    assert (advice in lines) == bool(targets), lines
    assert any("make repro" in line for line in lines) == (not targets), lines
    if targets:
        with Repo() as repo:
            for target in targets:
                repo.commit(target)
        assert [line for line in run()[1] if line.startswith(("missing", "verify"))] == [
            "verify: 18 files in workspace and cache hashed, 0 bad, 0 missing, 0 not checked"
        ]


def test_a_clone_without_its_data_has_everything_missing(project: Path) -> None:
    for folder in ("outputs", "datasets/mine", ".dvc/cache"):
        shutil.rmtree(folder)
    code, lines = run()
    assert code == 0
    assert "missing: datasets/mine in the cache and the workspace" in lines
    remedies = [line for line in lines if not line.startswith(("missing:", "verify:"))]
    assert "`leukosr data add mine PATH` after `dvc remove datasets/mine.dvc`" in remedies[0]
    assert "make repro" in remedies[1]
    assert lines[-1] == "verify: 0 files in workspace and cache hashed, 0 bad, 3 missing, 0 not checked"


@pytest.mark.parametrize(
    ("name", "command"), [("vgg16", "leukosr weights fetch vgg16"), ("mine", "leukosr weights add mine PATH")]
)
def test_missing_weights_come_by_the_commands_for_weights(project: Path, name: str, command: str) -> None:
    file = Path(f"pretrained/{name}.safetensors")
    file.parent.mkdir()
    file.with_name(f"{file.name}.dvc").write_text(
        yaml.safe_dump({"outs": [{"path": file.name, "hash": "md5", "md5": "0" * 32}]})
    )
    code, lines = run()
    assert code == 0
    assert any(line.startswith(f"{file}: get it by") and f"`{command}`" in line for line in lines), lines


def test_without_its_listing_a_folder_is_judged_as_a_whole(project: Path) -> None:
    shutil.rmtree(".dvc/cache")
    cache = project / ".dvc/cache"
    assert not verify(project, cache).bad
    flip(project / "outputs/lr/own.txt")
    assert [copy.place for copy in verify(project, cache).bad] == [project / "outputs/lr"]


def test_a_file_that_cannot_be_read_is_bad(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, opened = project / "outputs/count.csv", Path.open

    def failing(path: Path, *arguments: str, **options: str) -> object:
        if path == broken:
            raise OSError(5, "Input/output error")
        return opened(path, *arguments, **options)  # type: ignore[call-overload]

    content = broken.read_bytes()  # its own file, no link to the cache
    broken.unlink()
    broken.write_bytes(content)
    monkeypatch.setattr(Path, "open", failing)
    found = verify(project, project / ".dvc/cache")
    assert [(copy.place, words) for copy, words in found.bad.items()] == [(broken, "Input/output error")]


def test_a_program_gets_an_object(project: Path) -> None:
    flip(project / cached(Path("outputs/lr/own.txt")))
    result = CliRunner().invoke(app, ["verify", "--json"])
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert [(each["output"], each["target"], each["cached"]) for each in found["bad"]] == [
        ("outputs/lr", "shrink", True)
    ]
    assert found["bad"][0]["md5"] != found["bad"][0]["recorded"]
    assert (found["missing"], found["unchecked"]) == ([], [])


def test_what_dvc_knows_by_no_md5_is_said(project: Path) -> None:
    Path("old.dvc").write_text("outs:\n- md5: 0123\n  path: old.csv\n")  # before DVC 3: text with changed line ends
    code, lines = run()
    assert code == 0
    assert "not checked: old.csv, which DVC knows by no MD5" in lines


@pytest.mark.parametrize("content", ["", "[]", "outs: 3", "outs: [3]", "{", "\x00", "[" * 3000])
@pytest.mark.parametrize("name", ["dvc.lock", "datasets/mine.dvc"])
def test_a_damaged_file_of_dvc_is_named(project: Path, name: str, content: str) -> None:
    (project / name).write_text(content.replace("outs", "stages") if name == "dvc.lock" else content)
    with pytest.raises(LeukoError, match=f"{name} cannot be read .*: take it from git again"):
        verify(project, project / ".dvc/cache")


@pytest.mark.parametrize(
    "entry", ["md5: abc\n  hash: md5", "path: [a]\n  md5: abc\n  hash: md5", "path: a\n  md5: 12\n  hash: md5"]
)
@pytest.mark.parametrize("name", ["dvc.lock", "datasets/mine.dvc"])
def test_an_entry_without_its_path_or_with_an_md5_that_is_none_is_damage(project: Path, name: str, entry: str) -> None:
    outs = f"outs:\n- {entry}\n"
    (project / name).write_text(
        f"stages:\n  a:\n    {outs.replace(chr(10), chr(10) + '    ')}" if name == "dvc.lock" else outs
    )
    with pytest.raises(LeukoError, match=f"{name} cannot be read .*: take it from git again"):
        verify(project, project / ".dvc/cache")


def test_files_missing_beside_bad_ones_are_not_committed(project: Path) -> None:
    flip(project / cached(Path("outputs/lr/own.txt")))
    (project / "outputs/lr/1 ö.txt").unlink()  # `dvc commit` would record the folder without it
    advice = remedies(verify(project, project / ".dvc/cache"))
    assert advice == [
        "outputs/lr: remove what is bad, then `dvc pull shrink` where a remote holds it, else `dvc repro shrink`"
    ]


@pytest.mark.usefixtures("outside")
def test_outside_a_project_it_says_so() -> None:
    result = CliRunner().invoke(app, ["verify"])
    assert isinstance(result.exception, LeukoError)
    assert "is not inside a DVC project: run the command inside your clone" in str(result.exception)


def test_a_stage_is_not_committed_for_one_output_while_another_is_bad() -> None:
    lost, other = Output("outputs/a", "0", "both"), Output("outputs/b", "1", "both")
    here, cached = (Copy(lost, "", Path("a"), "0", cached=each) for each in (False, True))
    bad = Copy(other, "", Path("b"), "1", cached=False)
    (advice,) = missing_remedies(Verified([here], {bad: "2"}, [cached], []))
    assert advice.startswith("results of stages: make them by `make repro`")
    (advice,) = missing_remedies(Verified([here], {}, [cached], []))
    assert "`dvc commit both`" in advice
