"""What cutting cells out lost, as a subsection of the report, with a cell of each class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leukosr.config import Params
from leukosr.config.extracted import cut_out_of, extracted_rows
from leukosr.data.manifest import Row, is_tested
from leukosr.images.reading import read_as_rgb
from leukosr.layout import Layout, image_file, of_network, require, require_all, stage_again
from leukosr.report.block import Block, TableOfBlock
from leukosr.report.grids import image_rows
from leukosr.report.results import StudyResults
from leukosr.report.style import arm_looks


def extraction_blocks(folder: Path, params: Params, results: StudyResults, suffix: str, note: str) -> list[Block]:
    """Of every entry of `extract`: images without a cell, all and tested, by class; under the first protocol a figure,
    too, drawn into `folder`. Empty for a study without any.

    Raises LeukoError where the stage has not run.
    """
    if not params.extract:
        return []
    rows = [_row(params, results.layout, name, results.protocol) for name in params.extract]
    words = "An image in which no cell was found is kept whole, so that no test is made easier by what is hard to find."
    head = ("cells", "cut out of", "extractor", "not found", "of the tested", "tested, by class")
    figures = (
        {} if suffix else {f"samples_{name}": _drawn(folder, params, results, name, note) for name in params.extract}
    )
    return [Block("Extracted cells", [words], [TableOfBlock("Images without a cell", head, rows, 3)], figures)]


def _row(params: Params, layout: Layout, name: str, protocol: str) -> list[str]:
    record = require(layout.arm(name) / "metrics.json", params.stage_of(name))
    found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    tested = found["tested"][protocol]
    by_class = ", ".join(f"{label} {count}" for label, count in tested["not_found_by_class"].items())
    method = params.extract[name].extractor.method
    lost, all_tested = f"{found['not_found']} of {found['n']}", f"{tested['not_found']} of {tested['n']}"
    return [name, params.extract[name].arm or "original files", method, lost, all_tested, by_class or "none"]


def _drawn(folder: Path, params: Params, results: StudyResults, name: str, note: str) -> str:
    """Draw an image of each class above the cell cut out of it; returns the caption."""
    chosen = _chosen(params, results, name)
    network = params.networks_of(name)[0]
    cells = results.layout.arm(of_network(name, network))
    before = cut_out_of(params, results.layout, name, list(chosen.values()), network)
    after = require_all([image_file(cells, row.id) for row in chosen.values()], stage_again(params.stage_of(name)))
    rows = [[read_as_rgb(path) for path in paths] for paths in (before, after)]
    image_rows(folder / f"samples_{name}.png", rows, ("image", "cell"), list(chosen), note)
    return f"{arm_looks(params)[name].label}: the first image of each class by name, and the cell cut out of it."


def _chosen(params: Params, results: StudyResults, name: str) -> Mapping[str, Row]:
    """Class -> its first image by name: a tested one, but for networks that know the label."""
    rows = extracted_rows(params, results.manifest, name)
    tested = [row for row in rows if is_tested(row, results.protocol)]
    by_name = sorted(tested or rows, key=lambda row: (row.label, row.id), reverse=True)
    return dict(sorted({row.label: row for row in by_name}.items()))
