"""Folders of images as people bring them: every image comes out, or is named with the reason."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.faults.hostile_images import pixels
from tests.faults.tally import Tally
from typer.testing import CliRunner

from leukosr import cli
from leukosr.config import Params
from leukosr.data.catalogue import check_images, find_images
from leukosr.errors import LeukoError
from leukosr.outputs import MARKER
from leukosr.superres.enhance import Enhanced, enhance_path
from leukosr.superres.networks.srgan import SRGANGenerator
from leukosr.superres.weights import save_generator

NAMES = [
    *(
        "new\nline",
        "-leading",
        "--out",
        "rtl\u202egnp",
        "uni ü 日本",
        "quote\"',;",
        "=cmd|calc",
        "<img src=x>",
        "a.b.c",
    ),
    *("per%cent%2e", "{braces}", "[red]markup", "[/]", "tab\t", "dots..", "trailing ", "back\\slash", "esc\x1b[31mred"),
    *(
        "$(touch MARKER)",
        "`id`",
        "*",
        "?",
        "~",
        "CON",
        "n" * 250,
        "ü" * 125,
        "\U0001f489" * 62,
        "a" * 140 + "." + "b" * 100,
    ),
]
SYSTEMS = [
    *("._a.png", ".DS_Store", "__MACOSX/a.png", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN/a.png", "lost+found/a.png"),
    *("@eaDir/a.png/SYNO.jpg", "#recycle/a.png", ".@__thumb/a.png", ".ipynb_checkpoints/a-checkpoint.png"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        path = tmp_path_factory.mktemp("weights") / "x2.safetensors"
        save_generator(path, SRGANGenerator(scale=2, features=4, blocks=1), "srgan", 2, {"features": 4, "blocks": 1})
    return path


def draw(folder: Path, *names: str, side: int = 32) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(side, side, seed=number)).save(folder / name)


def enhance(source: Path, target: Path, weights: Path) -> Enhanced:
    return enhance_path(source, target, weights, tile=0, overlap=0, precision="fp32", device_name="cpu")


def written(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    return {path.relative_to(folder).as_posix() for path in files}


def test_odd_names_are_names(
    tally: Tally, tmp_path: Path, weights: Path, compose_params: Callable[..., Params]
) -> None:
    tally.kind = "names of image files"
    draw(tmp_path / "in", *(f"a/{name}.png" for name in NAMES))
    prepare = compose_params("study=case1").prepare
    flat = prepare.model_copy(update={"root": str(tmp_path / "in"), "train": None, "test": None, "reference": None})
    good, rejected = check_images(tmp_path / "in", find_images(flat), 1_000_000)
    assert rejected == []
    done = enhance(tmp_path / "in", tmp_path / "out", weights)
    assert (done.failed, done.left_out) == ([], [])
    for name in NAMES:
        with tally.trial(name):
            assert f"a/{name}" in {item.file.image_id for item in good}
            assert (tmp_path / "out" / "a" / f"{name}.png").is_file()
    assert written(tmp_path / "out") == {f"a/{name}.png" for name in NAMES}


def test_a_name_that_is_no_utf8_is_named_and_the_others_are_written(tmp_path: Path, weights: Path) -> None:
    draw(tmp_path / "in", "a.png", "b.png")
    os.rename(tmp_path / "in" / "b.png", os.fsencode(tmp_path / "in") + b"/Neutr\xf3filo.png")
    done = enhance(tmp_path / "in", tmp_path / "out", weights)
    assert (done.written, len(done.failed)) == (1, 1)
    assert "filo.png has a name that is not UTF-8: rename it" in done.failed[0]
    assert done.failed[0].isprintable()


def test_what_systems_leave_is_no_image(tally: Tally, tmp_path: Path, weights: Path) -> None:
    tally.kind = "leftovers of systems in folders of images"
    draw(tmp_path / "in", "a.png")
    for name in SYSTEMS:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"\x00\x05\x16\x07")
        with tally.trial(name):
            assert enhance(tmp_path / "in", tmp_path / "out", weights) == Enhanced(1, [], [])


def test_one_bad_image_is_exit_code_1_and_the_others_are_written(tmp_path: Path, weights: Path) -> None:
    draw(tmp_path / "in", "a.png", "c.png", "d.webp")
    (tmp_path / "in" / "b.png").write_text("text")
    said = CliRunner().invoke(
        cli.app, ["enhance", str(tmp_path / "in"), str(tmp_path / "out"), "--weights", str(weights)]
    )
    assert said.exit_code == 1
    assert written(tmp_path / "out") == {"a.png", "c.png"}
    assert f"failed: {tmp_path / 'in' / 'b.png'} is not a PNG: it holds no known image format" in said.stderr
    assert f"left out: {tmp_path / 'in' / 'd.webp'} is not an image file" in said.stderr
    assert f"enhance: 2 images -> {tmp_path / 'out'}, 1 failed, 1 file left out" in said.stdout
    (tmp_path / "in" / "b.png").unlink()
    said = CliRunner().invoke(
        cli.app, ["enhance", str(tmp_path / "in"), str(tmp_path / "out"), "--weights", str(weights)]
    )
    assert said.exit_code == 0


def test_no_image_is_replaced_that_the_command_did_not_write(tmp_path: Path, weights: Path) -> None:
    draw(tmp_path / "in", "a.png")
    draw(tmp_path / "hr", "a.png")
    before = (tmp_path / "hr" / "a.png").read_bytes()
    for source, target, why in (
        ("in", "hr", "hr holds files that this command did not write (a.png): name a new folder"),
        ("in/a.png", "hr/a.png", "hr/a.png exists already: name another file for the result, or remove it"),
        ("in/a.png", "hr", "hr/a.png exists already"),
    ):
        said = CliRunner().invoke(
            cli.app, ["enhance", str(tmp_path / source), str(tmp_path / target), "--weights", str(weights)]
        )
        assert said.exit_code == 1 and why in str(said.exception)
    assert (tmp_path / "hr" / "a.png").read_bytes() == before
    assert written(tmp_path / "hr") == {"a.png"}


def test_a_single_result_joins_those_of_a_folder(tmp_path: Path, weights: Path) -> None:
    draw(tmp_path / "in", "a.png")
    draw(tmp_path, "one.png")
    (tmp_path / "empty").mkdir()
    for target in ("empty", "new"):
        sources = ("one.png", "in", "in") if target == "empty" else ("in", "one.png", "in")
        for source in sources:
            said = CliRunner().invoke(
                cli.app, ["enhance", str(tmp_path / source), str(tmp_path / target), "--weights", str(weights)]
            )
            assert said.exit_code == 0, said.exception
        assert written(tmp_path / target) == {"a.png", "one.png"}


def test_wrong_options_leave_no_folder_and_an_input_is_named_as_such(tmp_path: Path, weights: Path) -> None:
    draw(tmp_path / "in", "a.png")
    for target, option, why in (
        ("deep/out", "fp8", "--precision is 'fp8'"),
        ("in", "fp32", "holds the images themselves"),
    ):
        said = CliRunner().invoke(
            cli.app,
            ["enhance", str(tmp_path / "in"), str(tmp_path / target), "--weights", str(weights), "--precision", option],
        )
        assert said.exit_code == 1 and why in str(said.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_places_of_results(tally: Tally, tmp_path: Path, weights: Path) -> None:
    """Below the images, around them, at them, and by a link: results are no input, and no input is replaced."""
    tally.kind = "folders for results that overlap with the images"
    for name, allowed in (
        ("in/sr", True),
        ("in/a/deep", True),
        (".", False),
        ("in", False),
        ("in/a/..", False),
        ("link", False),
    ):
        with tally.trial(name):
            draw(tmp_path / "in", "1.png", "a/2.png")
            before = {path: (tmp_path / "in" / path).read_bytes() for path in ("1.png", "a/2.png")}
            (tmp_path / "link").symlink_to("in")
            for _ in range(2):
                if allowed:
                    assert enhance(tmp_path / "in", tmp_path / name, weights).written == 2
                else:
                    with pytest.raises(LeukoError, match=r"choose another place for the results|did not write"):
                        enhance(tmp_path / "in", tmp_path / name, weights)
            assert {path: (tmp_path / "in" / path).read_bytes() for path in before} == before
            assert not (tmp_path / name / "sr").exists()
            assert len(written(tmp_path)) == (4 if allowed else 2)
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
