"""Which images cells are cut out of, as the stage and the report both need to know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from leukosr.config.arms import ByClass
from leukosr.config.params import Params
from leukosr.data.manifest import Row, arm_rows
from leukosr.data.separation import untested_rows
from leukosr.layout import RESTORE, Layout, image_file, require, require_all, stage_again


def extracted_rows(params: Params, manifest: Iterable[Row], name: str) -> list[Row]:
    """The rows of the images that an entry of `extract` has: without the tested ones where networks know the label."""
    rows = arm_rows(manifest, params.study)
    by_class = isinstance(params.source_arm(name), ByClass)
    return untested_rows(rows, params.study.protocols, name) if by_class else rows


def cut_out_of(params: Params, layout: Layout, name: str, rows: Sequence[Row], network: int | None) -> Sequence[Path]:
    """The files that the cells of these rows are cut out of: originals, or an arm's by the network of an SR seed.

    Raises LeukoError that says how to bring a missing one back.
    """
    arm = params.extract[name].arm
    if arm is None:
        return require_all([Path(params.prepare.root) / row.path for row in rows], RESTORE)
    stage = params.stage_of(arm)
    folder = require(layout.arm(params.version(arm, network)), stage)
    return require_all([image_file(folder, row.id) for row in rows], stage_again(stage))
