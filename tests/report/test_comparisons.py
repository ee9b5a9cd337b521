"""Comparisons for a terminal."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from leukosr.cli import app

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "case1-leakage" / "plots" / "confusion"


def test_long_names_cut_no_verdict_off() -> None:
    arms = [str(PUBLISHED / f"{arm}_source_disjoint.csv") for arm in ("real_esrgan", "raw")]
    result = CliRunner().invoke(app, ["compare", *arms], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    rows = [line for line in result.output.splitlines() if "real_esrgan_source_disjoint – raw_source_disjoint" in line]
    assert [row.count("inconclusive") for row in rows] == [1, 1]
    assert "+8.5 (-0.8 … +17.8)" in rows[0]
    assert "…" not in rows[0].replace(" … ", "")
