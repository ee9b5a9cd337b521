"""`leukosr side-by-side`: tables of reports that were damaged are named, not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from leukosr.errors import LeukoError
from leukosr.report.side_by_side import write_side_by_side

COMPARISON = "arm,n_images,psnr,ssim\nground_truth,9,,1\nbicubic,9,30.5,0.9\n"
DIFFERENCES = "arms,networks,other_networks,difference,low,high\nSRCNN – bicubic,3,–,1.25,,\n"


def reports(folder: Path) -> list[Path]:
    """Two finished reports of image quality."""
    for name in ("x2", "x4"):
        (folder / name).mkdir()
        (folder / name / "comparison.csv").write_text(COMPARISON, encoding="utf-8")
        (folder / name / "differences.csv").write_text(DIFFERENCES, encoding="utf-8")
    return [folder / "x2", folder / "x4"]


def test_what_is_undefined_is_an_en_dash(tmp_path: Path) -> None:
    page = write_side_by_side(tmp_path / "out", reports(tmp_path)).read_text(encoding="utf-8")
    assert "30.50" in page and "+1.25 (–)" in page and "nan" not in page
    joint = (tmp_path / "out" / "comparison.csv").read_text(encoding="utf-8")
    assert joint.splitlines()[1:3] == ["x2,ground_truth,9,,1", "x2,bicubic,9,30.5,0.9"]


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("comparison.csv", "30.5", "30·5", r"Unable to parse string .*"),
        ("differences.csv", "1.25", "?", r"Unable to parse string .*"),
        ("differences.csv", ",low,high", ",from,to", "it lacks the column low"),
    ],
)
def test_a_damaged_table_is_named(tmp_path: Path, name: str, old: str, new: str, said: str) -> None:
    given = reports(tmp_path)
    file = given[1] / name
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(LeukoError, match=rf"x4/{name} is damaged: {said}; make the report again"):
        write_side_by_side(tmp_path / "out", given)
    assert not (tmp_path / "out").exists()
