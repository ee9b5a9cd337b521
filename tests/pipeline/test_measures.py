"""Studies that measure image quality alone, or classification alone."""

from __future__ import annotations

import csv
import json

import pytest

from .conftest import Clone, stages_run, tiny

pytestmark = pytest.mark.pipeline

SR_ALONE = ("-S", "study=demo_sr", "-S", "arms=[bicubic,srgan]")


@pytest.mark.slow
def test_super_resolution_is_studied_without_classes(clone: Clone) -> None:
    output = clone.run("dvc", "exp", "run", *tiny(["srgan"]), *SR_ALONE)
    assert {"quality@srgan", "sweep", "report"} <= stages_run(output)
    assert not {stage for stage in stages_run(output) if stage.startswith("classify")}
    outputs = clone.root / "outputs" / "demo_sr"
    with (outputs / "roles.csv").open() as file:
        roles = {row["image"]: row["role"] for row in csv.DictReader(file)}
    assert set(roles.values()) == {"sr_train", "sr_val", "sr_test"}
    with (outputs / "manifest.csv").open() as file:
        assert {row["class"] for row in csv.DictReader(file)} == {""}
    with (outputs / "quality" / "srgan" / "per_image.csv").open() as file:
        compared = {row["image"]: row["role"] for row in csv.DictReader(file)}
    assert compared == {image: role for image, role in roles.items() if role == "sr_test"}
    assert not (outputs / "classify").exists()
    summary = json.loads((clone.root / "reports/demo_sr/summary.json").read_text())
    assert summary.keys() == {"bicubic", "srgan"} and "accuracy" not in summary["srgan"]
    page = (clone.root / "reports/demo_sr/index.html").read_text()
    assert "2 versions (arms) of the same" in page and "Confusion" not in page and "accuracy" not in page
    assert "PSNR" in clone.run("leukosr", "show")
    assert "no classification" in clone.run("leukosr", "classify", "--arm", "bicubic", fails=True)
    assert clone.changed_stages() == set()


@pytest.mark.slow
def test_classification_alone_compares_no_images(clone: Clone) -> None:
    measures = ("-S", "study.measures=[classification]", "-S", "arms=[raw]")
    output = clone.run("dvc", "exp", "run", *tiny([]), *measures)
    assert "report" in stages_run(output) and not {each for each in stages_run(output) if each.startswith("quality")}
    assert (clone.root / "outputs/demo/classify/raw/paper/predictions.csv").is_file()
    summary = json.loads((clone.root / "reports/demo/summary.json").read_text())
    assert "accuracy" in summary["raw"] and "psnr" not in summary["raw"]
