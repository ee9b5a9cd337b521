"""Images that a network made before its stage was cut: they are kept, so the stage goes on where it was."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leukosr.config import Generated, Image
from leukosr.data.manifest import Row
from leukosr.engine.resume import Resume, work_digest
from leukosr.files import new_file
from leukosr.layout import new_image_file
from leukosr.stages.image_files import suffix_of, write_pixels


class KeptImages:
    """The finished images of one arm, outside DVC's outputs, which DVC deletes before it reruns a stage."""

    def __init__(self, settings: Generated, image: Image, weights: Path, given: Sequence[Path]) -> None:
        """`given` are the files that the images are made from. Only the same work in the same precision goes on."""
        digest = work_digest([settings.model_dump(), image.model_dump()], [weights, *given])
        self._resume = Resume(digest, seconds=0)
        self._suffix = suffix_of(settings.file)
        self._file = settings.file

    def missing(self, rows: Sequence[Row]) -> list[Row]:
        """The rows whose image is still to be made."""
        return [row for row in rows if not self._path(row).is_file()]

    def keep(self, row: Row, image: np.ndarray) -> None:
        """Save one image, whole or not at all."""
        with new_file(self._path(row)) as temporary:
            write_pixels(temporary, image, self._file)

    def move(self, rows: Sequence[Row], target: Path) -> None:
        """Move the images of these rows below `target`."""
        for row in rows:
            final = new_image_file(target, row.id, self._suffix)
            final.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(self._path(row), final)
        self._resume.clear()

    def _path(self, row: Row) -> Path:
        return new_image_file(self._resume.folder, row.id, self._suffix)
