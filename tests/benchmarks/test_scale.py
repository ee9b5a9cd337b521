"""The benchmark of scale: its set, that it resumes where it was, and what its page says."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import scale
from benchmarks.scale_page import Piece, trend_of, write_page
from benchmarks.scale_set import SIDE, VIEWS, draw_set, turned
from leukosr.errors import LeukoError
from leukosr.images.reading import read_rgb

MACHINE = {"cpu": "a processor", "memory_gib": 24}
DAY = "a day, 2 cores"


def test_a_smaller_set_is_the_beginning_of_a_larger_one(tmp_path: Path) -> None:
    for count in (6, 10):
        draw_set(tmp_path / str(count), count)
    table = pd.read_csv(tmp_path / "6" / "sources.csv", dtype=str)
    assert table["source"].tolist() == ["000000"] * VIEWS + ["000001"] * 2
    for path in table["path"]:
        small, large = (read_rgb(tmp_path / name / path) for name in ("6", "10"))
        assert small.shape == (SIDE, SIDE, 3) and np.array_equal(small, large)


def test_the_views_of_a_cell_are_that_cell_turned_and_mirrored() -> None:
    cell = np.zeros((SIDE, SIDE, 3), np.float32)
    cell[0, 0] = 200
    corners = {tuple(np.argwhere(turned(cell, v, np.random.default_rng(0))[..., 0] > 100)[0]) for v in range(VIEWS)}
    assert corners <= {(0, 0), (0, SIDE - 1), (SIDE - 1, 0), (SIDE - 1, SIDE - 1)} and len(corners) > 1


def test_all_stages_are_measured_once_and_a_cut_measurement_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def here(function: Any, stage: str, *args: Any, counted: Any) -> tuple[Any, float]:
        ran.append(stage)
        return function(stage, *args), 1e8

    monkeypatch.setattr(scale, "peak_memory", here)
    first = list(scale.measure_all(tmp_path, [48], cpu_time=False))
    assert ran == [piece.stage for piece in first] == list(scale.STAGES)
    notes = {piece.stage: piece.note for piece in first if piece.note}
    assert notes.keys() == {"report", "provenance"} and "100.0 % of the found pairs" not in notes["report"]
    assert {made.name for made in (tmp_path / "48").iterdir()} == {"pieces", "params.yaml"}, "the images are removed"
    assert list(scale.measure_all(tmp_path, [48], cpu_time=False)) == first and len(ran) == len(scale.STAGES)


def test_the_page_says_how_stages_grow_and_what_a_million_images_would_take(tmp_path: Path) -> None:
    pieces = [
        Piece("prepare", 1000, 1.0, 100.0, measured=DAY),
        Piece("prepare", 10_000, 10.0, 109.0, measured=DAY),
        Piece("provenance", 1000, 5.0, 200.0, "a smaller page", measured=DAY),
        Piece("provenance", 10_000, 500.0, 1100.0, "a page of 1.0 MiB", measured=DAY),
    ]
    write_page(MACHINE, pieces, tmp_path / "scale.md")
    page = (tmp_path / "scale.md").read_text(encoding="utf-8")
    # 10 s x 100 = 1,000 s; 100 MiB per 100,000 images more: 109 + 990 MiB
    assert "| prepare | 1.0 s, 100 MiB | 10.0 s, 109 MiB | images^1.00 | +1.0 MiB | 0.3 h, 1.1 GiB |" in page
    # quadratic: 500 s x 10,000; 100 MiB per 1,000 images
    assert "| images^2.00 | +100.0 MiB | 1388.9 h, 97.8 GiB |" in page
    assert "1389 hours here, 1389 of them in `provenance`, and 97.8 GiB of memory in `provenance`" in page
    assert "fill the 24 GiB of this machine at about 0.2 million" in page
    assert "- provenance of 10,000 images: a page of 1.0 MiB." in page and "smaller" not in page
    assert f"Measured {DAY}." in page


def test_a_run_with_fewer_images_keeps_the_pieces_of_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "RESULTS", tmp_path / "scale.json")
    monkeypatch.setattr(scale, "PAGE", tmp_path / "scale.md")
    monkeypatch.setattr(scale, "machine_of", lambda pieces: MACHINE)
    monkeypatch.setattr(scale, "usable_cores", lambda: 1)
    monkeypatch.setattr(scale, "params_for", lambda root: SimpleNamespace(model_dump=lambda mode: {}))
    monkeypatch.setattr(scale, "draw_set", lambda folder, count: folder.mkdir(parents=True))
    monkeypatch.setattr(scale, "peak_memory", lambda *asked, counted: (1.0 + asked[-1], 1e8))
    monkeypatch.setattr(scale, "note", lambda stage, home: "")
    for images, cpu_time in ((2000, False), (1000, True)):
        scale.main(images, tmp_path / "sets", cpu_time)
        (tmp_path / "sets/1000/pieces/provenance.json").unlink()
    pieces = json.loads((tmp_path / "scale.json").read_text())["pieces"]
    assert [(piece["stage"], piece["images"]) for piece in pieces] == [
        (stage, count) for count in (1000, 2000) for stage in scale.STAGES
    ]
    assert [piece["stage"] for piece in pieces if piece["seconds"] == 2] == ["provenance"]
    page = (tmp_path / "scale.md").read_text(encoding="utf-8")
    assert (
        "1 core, processor time: provenance of 1,000." in page and "| report | 1.0 s, 95 MiB | 1.0 s, 95 MiB |" in page
    )


def test_processor_time_of_several_cores_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "usable_cores", lambda: 2)
    with pytest.raises(SystemExit, match="taskset"):
        scale.main(1000, tmp_path, True)


def test_pieces_of_another_machine_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "RESULTS", tmp_path / "scale.json")
    monkeypatch.setattr(scale, "in_child", lambda function: {"cpu": "another", "cores": 4})
    (tmp_path / "scale.json").write_text(json.dumps({"machine": {"cpu": "a processor"}}))
    assert scale.machine_of([])["cpu"] == "another" and "cores" not in scale.machine_of([])
    with pytest.raises(LeukoError, match="another cpu"):
        scale.machine_of([Piece("prepare", 1000, 1.0, 100.0)])


def test_memory_is_foretold_by_its_steepest_slope() -> None:
    sizes = {1000: 100.0, 3000: 150.0, 10_000: 157.0}
    trend = trend_of([Piece("provenance", images, images / 100, mib) for images, mib in sizes.items()])
    assert trend is not None and trend.mib == 25 and trend.exponent == pytest.approx(1)


def test_one_size_alone_shows_no_growth(tmp_path: Path) -> None:
    only = [Piece("prepare", 1000, 1.0, 100.0)]
    assert trend_of(only) is None
    write_page(MACHINE, only, tmp_path / "scale.md")
    page = (tmp_path / "scale.md").read_text(encoding="utf-8")
    assert "| prepare | 1.0 s, 100 MiB | – | – | – |" in page and "million images" not in page
