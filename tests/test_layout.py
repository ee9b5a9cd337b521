from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.layout import Layout, image_file, new_image_file, require, require_all, stage_again

PROJECT = Path(__file__).resolve().parent.parent


def test_files_lie_below_the_study() -> None:
    layout = Layout("case1")
    assert layout.manifest == Path("outputs/case1/manifest.csv")
    assert layout.roles == Path("outputs/case1/roles.csv")
    assert layout.rejected == Path("outputs/case1/rejected.csv")
    assert layout.lr == Path("outputs/case1/lr")
    assert layout.sr("srgan") == Path("outputs/case1/sr/srgan")
    assert layout.arm("raw") == Path("outputs/case1/arms/raw")
    assert layout.quality("raw") == Path("outputs/case1/quality/raw")
    assert layout.classify("raw", "paper") == Path("outputs/case1/classify/raw/paper")
    assert layout.report == Path("reports/case1")


def test_another_place_moves_everything(tmp_path: Path) -> None:
    layout = Layout("demo", tmp_path / "o", tmp_path / "r")
    assert layout.root == tmp_path / "o" / "demo"
    assert layout.manifest.is_relative_to(layout.root)
    assert layout.report == tmp_path / "r" / "demo"


def test_the_layout_is_that_of_dvc_yaml() -> None:
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    outs = {out for stage in stages.values() for out in (stage.get("do") or stage)["outs"]}
    layout = Layout("${study.name}")
    kept = {layout.manifest, layout.roles, layout.rejected, layout.lr, layout.report}
    kept |= {
        layout.sr("${key}"),
        layout.arm("${key}"),
        layout.quality("${item}"),
        layout.classify("${key}", "paper").parent,
    }
    assert {path.as_posix() for path in kept} <= outs


def test_sources_are_found_anew_where_classes_begin_or_cease_to_count() -> None:
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    assert "study.measures" in stages["provenance"]["do"]["params"]  # catalogue.find_images reads it


def test_the_arms_read_what_the_layout_names(compose_params: Callable[..., Params]) -> None:
    params = compose_params("study=case1")
    layout = Layout("case1")
    for arm in ("raw", "bicubic"):
        assert Path(params.upscale[arm].reads) == layout.lr
    for arm in ("srgan", "real_esrgan"):
        assert Path(params.upscale[arm].reads) == layout.sr(arm)
    assert params.upscale["ground_truth"].reads == params.prepare.root


@pytest.mark.parametrize("image_id", ["TEST/NEUTROPHIL/_0_12", "a/b.c.d", "plain"])
def test_an_image_keeps_its_whole_id(image_id: str) -> None:
    assert image_file(Path("lr"), image_id).as_posix() == f"lr/{image_id}.png"


def test_an_image_is_found_in_the_format_that_it_was_written_in(tmp_path: Path) -> None:
    written = {new_image_file(tmp_path, "a.b", ".jpg"), new_image_file(tmp_path, "a")}
    for path in written:
        path.touch()
    assert {image_file(tmp_path, name) for name in ("a", "a.b")} == written


def test_what_is_there_is_handed_through(tmp_path: Path) -> None:
    assert require(tmp_path, "degrade") == tmp_path


def test_what_is_missing_comes_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match="does not exist yet: run `dvc repro upscale@raw`") as error:
        require(tmp_path / "arms" / "raw", "upscale@raw")
    assert str(tmp_path / "arms" / "raw") in str(error.value)


def test_missing_files_are_named_counted_and_made_again(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("1.png", "2.png", "3.png")]
    paths[0].touch()
    with pytest.raises(LeukoError, match=r"2\.png does not exist \(2 of 3 missing\): make it again with `dvc"):
        require_all(paths, stage_again("degrade"))
    for path in paths:
        path.touch()
    assert require_all(paths, "") == paths
