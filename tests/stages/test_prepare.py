"""`prepare` and the sources that people bring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from leukosr.config import Params
from leukosr.data.manifest import read_manifest
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.stages import prepare
from leukosr.stages.context import Context

OVERRIDES = ("study=demo", "budget=smoke", "prepare.root=set", "prepare.train=null", "prepare.test=null",
             "prepare.reference=null", "image.height=64", "image.width=64", "runtime.workers=1")  # fmt: skip
IMAGES = [f"{label}/{label.lower()}{number}.png" for label in "AB" for number in range(20)]


@pytest.fixture
def made(compose_params: Callable[..., Params], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write two classes of twenty images, with sources.csv if it has rows, prepare the set and return what was said."""
    for number, name in enumerate(IMAGES):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "set" / name)
    monkeypatch.chdir(tmp_path)

    def run(rows: list[tuple[str, str]], protocol: str = "source_disjoint", *changes: str) -> str:
        lines = ["path,source", *(f"{path},{source}" for path, source in rows)]
        if rows:
            Path("set/sources.csv").write_text("\n".join(lines) + "\n")
        console = Console(width=500)
        with console.capture() as said:
            params = compose_params(*OVERRIDES, f"study.protocol={protocol}", *changes)
            prepare.run(Context(params, Layout("demo"), console, Path("out")))
        return said.get()

    return run


def test_blanks_behind_a_source_split_no_patient(made: Callable[..., str]) -> None:
    rows = [(name, f"{name[0]}{number % 20 // 2}{' ' * (number % 2)}") for number, name in enumerate(IMAGES)]
    said = made(rows)
    parts = defaultdict(set)
    for row in read_manifest(Path("out/manifest.csv")):
        parts[row.source].add(row.role("source_disjoint").replace("sr_val", "sr_train"))
    assert len(parts) == 20
    assert all(len(roles - {"unused"}) <= 1 for roles in parts.values())
    assert "no image of the set" not in said and "no source" not in said


@pytest.mark.parametrize("protocol", ["paper", "source_disjoint", "both"])
def test_sources_of_other_images_are_refused_under_any_protocol(made: Callable[..., str], protocol: str) -> None:
    with pytest.raises(LeukoError, match=r"none of the 40 paths in set/sources\.csv is an image of the set, e\.g\. X/"):
        made([(f"X/{name}", "P1") for name in IMAGES], protocol)
    assert not Path("out").exists()


def test_sources_of_windows_are_understood(made: Callable[..., str]) -> None:
    made([(name.replace("/", "\\"), f"P{number}") for number, name in enumerate(IMAGES)])
    assert all(row.source for row in read_manifest(Path("out/manifest.csv")))


def test_images_and_rows_without_partner_are_counted(made: Callable[..., str]) -> None:
    rows = [(name, f"P{number}") for number, name in enumerate(IMAGES)]
    said = made([*rows[:-2], ("B/none.png", "P9")])
    assert "prepare: 1 of 39 rows of set/sources.csv name no image of the set, e.g. B/none.png" in said
    assert "prepare: 2 of 40 images have no source in set/sources.csv, e.g. B/b18.png" in said


def test_protocols_that_test_what_sr_trains_on_are_refused_before_anything_is_trained(made: Callable[..., str]) -> None:
    rows = [(name, f"P{number}") for number, name in enumerate(IMAGES)]
    protocols = "[paper,random_80_10_10]"
    with pytest.raises(LeukoError, match=r"would train on .* under paper, tested under random_80_10_10"):
        made(rows, protocols)
    assert not Path("out").exists()
    made(rows, protocols, "arms=[raw,bicubic]")  # nothing trains SR
    assert Path("out/manifest.csv").is_file()


@pytest.mark.parametrize("protocol", ["paper", "random_80_10_10"])
def test_sources_that_the_study_finds_are_read_under_protocols_that_do_not_need_them(
    made: Callable[..., str], protocol: str
) -> None:
    made([], protocol)
    roles = {row.id: row.role(protocol) for row in read_manifest(Path("out/manifest.csv"))}
    Path("found").mkdir()
    rows = ["image,source", *(f"{name},P{number // 2}" for number, name in enumerate(IMAGES))]
    Path("found/sources.csv").write_text("\n".join(rows) + "\n")
    made([], protocol, "prepare.sources=found")
    assert not any(row.source for row in read_manifest(Path("out/manifest.csv"))), "the study does not find any"
    finds = "provenance=${find_sources.source_disjoint.stage}"
    assert "no source" not in made([], protocol, "prepare.sources=found", finds)
    manifest = read_manifest(Path("out/manifest.csv"))
    assert len({row.source for row in manifest if row.source}) == 20
    assert {row.id: row.role(protocol) for row in manifest} == roles, "they change no role"


def test_labels_that_contradict_folders_are_told(made: Callable[..., str]) -> None:
    rows = [f"{name},{'A' if name == IMAGES[-1] else name[0]},test" for name in IMAGES]
    Path("set/split.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n")
    said = made([], "paper")
    assert (
        f"prepare: 1 image lies in the folder of one class, but split.csv gives another ({IMAGES[-1]}: A); split.csv is"
        in said
    )
