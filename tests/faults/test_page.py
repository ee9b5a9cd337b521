"""The table that a campaign leaves becomes a page that hides no failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.page import main, page


def test_trials_of_one_kind_are_added_up_and_failures_are_named() -> None:
    text = page(
        [
            {"kind": "worker races", "tried": 14, "failed": []},
            {"kind": "flipped bytes", "tried": 60, "failed": ["weights 7"]},
            {"kind": "flipped bytes", "tried": 40, "failed": ["state 3"]},
        ],
        "Campaign of a day:",
    )
    assert "| flipped bytes | 100 | 98 | 2 |\n| worker races | 14 | 14 | 0 |\n" in text
    assert "- flipped bytes: weights 7, state 3" in text and "- worker races" not in text


def test_a_campaign_without_trials_leaves_the_earlier_page(tmp_path: Path) -> None:
    table, target = tmp_path / "table", tmp_path / "reliability.md"
    table.touch()
    target.write_text("earlier")
    with pytest.raises(SystemExit, match="no trials"):
        main(table, target)
    assert target.read_text() == "earlier"
