"""What a user sees when something is wrong, and that the pipeline works once it is mended."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from .conftest import TINY, Clone, draw_cells, stages_run

pytestmark = pytest.mark.pipeline


def sentence(output: str) -> str:
    """The one line in which LeukoSR says what is wrong."""
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in output
    return line


def test_a_study_without_its_images_stops_and_the_former_one_comes_back(clone: Clone) -> None:
    output = clone.run("dvc", "exp", "run", "-S", "study=case1", fails=True)
    assert "missing data 'source': data" in output and stages_run(output) == set()
    assert "leukosr data fetch bccd" in sentence(clone.run("leukosr", "prepare", fails=True))
    back = clone.run("dvc", "exp", "run", *TINY)
    assert stages_run(back) == set() and clone.changed_stages() == set()


@pytest.mark.slow
def test_an_unknown_key_stops_the_stage_that_reads_it_with_its_name(clone: Clone) -> None:
    output = clone.run("dvc", "exp", "run", *TINY, "-S", "clasify.epochs=3", fails=True)
    assert "Key 'clasify' is not in struct" in output and stages_run(output) == set()
    output = clone.run("dvc", "exp", "run", *TINY, "-S", "+report.grid_cell=3", fails=True)
    unknown = "error: params.yaml: unknown key 'report.grid_cell': remove it or correct its spelling"
    assert sentence(output).startswith(f"{unknown}; params.yaml was composed from conf/")
    assert stages_run(output) == {"report"}
    assert stages_run(clone.run("dvc", "exp", "run", *TINY)) == set()
    assert (clone.root / "reports/demo/index.html").is_file()


def test_a_truncated_image_stops_prepare_by_name_or_is_left_out_when_asked(clone: Clone, tmp_path: Path) -> None:
    folder = tmp_path / "my own images"
    draw_cells(folder)
    good = folder / "light/cell 3.jpg"
    bad = folder / "light/cut.jpg"
    bad.write_bytes(good.read_bytes()[:1500])
    refused = sentence(clone.run("leukosr", "data", "add", "mine", str(folder), fails=True))
    assert "light/cut.jpg is corrupt or truncated" in refused and "--leave-out" in refused
    assert not (clone.root / "datasets/mine").exists()

    added = clone.run("leukosr", "data", "add", "mine", str(folder), "--leave-out")
    assert "left out: light/cut.jpg" in added and "24 images" in added
    shutil.copyfile(bad, clone.root / "datasets/mine/light/cut.jpg")  # as if a disk had failed later
    clone.edit_params({"prepare.root": "datasets/mine", "prepare.train": None, "prepare.test": None})
    stopped = clone.run("dvc", "repro", "prepare", fails=True)
    assert "light/cut.jpg is corrupt or truncated" in sentence(stopped)
    assert "set prepare.bad_images to leave_out" in sentence(stopped)

    clone.edit_params({"prepare.bad_images": "leave_out"})
    assert "1 left out" in clone.run("dvc", "repro", "prepare")
    rejected = (clone.root / "outputs/demo/rejected.csv").read_text().splitlines()
    assert len(rejected) == 2 and rejected[1].startswith("light/cut.jpg,is corrupt or truncated")


def test_a_read_only_output_folder_is_named_and_the_next_run_works(clone: Clone) -> None:
    before: list[str] = []
    if os.geteuid() == 0:  # root writes anywhere, unless it gives that right away
        if shutil.which("setpriv") is None:
            pytest.skip("root, and no setpriv to give up the right to write anywhere")
        before = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    folder = clone.root / "outputs/demo/quality"
    folder.chmod(0o555)
    try:
        output = clone.run("leukosr", "quality", "--arm", "bicubic", before=before, fails=True)
    finally:
        folder.chmod(0o755)
    assert sentence(output).startswith("error: cannot write outputs/demo/quality/bicubic: Permission denied; make")
    assert clone.hidden() == [] and clone.changed_stages() == set()
    output = clone.run("dvc", "repro", "--force", "--single-item", "quality@bicubic")
    assert stages_run(output) == {"quality@bicubic"} and clone.changed_stages() == set()
