from __future__ import annotations

from pathlib import Path

from PIL import Image

from leukosr.evaluate.arms import calibration
from leukosr.evaluate.arms.calibration import Calibration, _judge
from leukosr.evaluate.arms.simulation import Design
from leukosr.report.calibration_figure import calibration_figure

SMALL = Design(class_sources=(8, 8), class_images=32)


def test_equal_arms_are_rarely_called_different_and_large_differences_are_found() -> None:
    equal = _judge(SMALL, 60, workers=1)
    assert [each.metric for each in equal] == ["accuracy", "macro_f1"]
    assert all(each.called <= 0.1 for each in equal)
    assert all(each.covered is not None and each.covered >= 0.85 for each in equal)
    different = _judge(Design(class_sources=(20, 20), class_images=80, difference=0.15), 20, workers=1)
    assert different[0].called > 0.8
    assert different[1].covered is None


def test_mcnemar_on_copies_calls_equal_arms_different_far_too_often() -> None:
    copies = Design(class_sources=(10, 10), class_images=1000, source_of_arm_sd=0.15)
    assert _judge(copies, 40, workers=1)[0].mcnemar > 0.2


def test_the_figure_and_the_table_hold_every_design(tmp_path: Path) -> None:
    found = [each for design in (*calibration.DESIGNS, Design(difference=0.01)) for each in fake(design)]
    calibration_figure(tmp_path / "calibration.png", found)
    with Image.open(tmp_path / "calibration.png") as image:
        assert image.width > 1000
    assert found[0].as_record()["class_sources"] == "18 18 17 17"


def fake(design: Design) -> list[Calibration]:
    return [Calibration(design, metric, 1000, 0.04, 0.03, 0.05, 0.95, 0.5) for metric in ("accuracy", "macro_f1")]
