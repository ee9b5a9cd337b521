"""What cutting cells out lost, as a subsection of the report."""

from __future__ import annotations

import json
from typing import Any

from leukosr.config import Params
from leukosr.layout import Layout, require
from leukosr.report.block import Block, TableOfBlock


def extraction_blocks(params: Params, layout: Layout, protocol: str) -> list[Block]:
    """Of every entry of `extract`: images without a cell, all and tested, by class. Empty for a study without any.

    Raises LeukoError where the stage has not run.
    """
    if not params.extract:
        return []
    rows = [_row(params, layout, name, protocol) for name in params.extract]
    words = "An image in which no cell was found is kept whole, so that no test is made easier by what is hard to find."
    head = ("cells", "cut out of", "extractor", "not found", "of the tested", "tested, by class")
    return [Block("Extracted cells", [words], [TableOfBlock("Images without a cell", head, rows, 3)])]


def _row(params: Params, layout: Layout, name: str, protocol: str) -> list[str]:
    record = require(layout.arm(name) / "metrics.json", params.stage_of(name))
    found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    tested = found["tested"][protocol]
    by_class = ", ".join(f"{label} {count}" for label, count in tested["not_found_by_class"].items())
    method = params.extract[name].extractor.method
    lost, all_tested = f"{found['not_found']} of {found['n']}", f"{tested['not_found']} of {tested['n']}"
    return [name, params.extract[name].arm or "original files", method, lost, all_tested, by_class or "none"]
