"""Images that a network made before its stage was cut: they are kept, so the stage goes on where it was."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leukosr.config import Generated, Image
from leukosr.data.manifest import Row
from leukosr.engine.resume import Resume, work_digest
from leukosr.stages.image_files import Format, files_of, write_image


class KeptImages:
    """The finished images of one network, outside DVC's outputs, which DVC deletes before it reruns a stage."""

    def __init__(self, settings: Generated, image: Image, weights: Path, given: Sequence[Path]) -> None:
        """`given` are the files that the images are made from. Only the same work in the same precision is resumed."""
        digest = work_digest([settings.model_dump(), image.model_dump()], [weights, *given])
        self._resume = Resume(digest, seconds=0)
        self._file, self._batch = settings.file, settings.batch

    def missing(self, rows: list[Row]) -> list[Row]:
        """The rows from the first batch on that lacks an image.

        That batch is made again as a whole: in a smaller one some processors round a pixel differently.
        """
        for place, row in enumerate(rows):
            if not files_of(self._resume.folder, row.id, self._file)[-1].is_file():
                return rows[place - place % self._batch :]
        return []

    def keep(self, row: Row, image: np.ndarray) -> None:
        """Save one image, whole or not at all."""
        unfinished = self._resume.folder / "unfinished"
        write_image(unfinished, row.id, image, self._file)
        _move(unfinished, self._resume.folder, row, self._file)

    def move(self, rows: Sequence[Row], target: Path) -> None:
        """Move the images of these rows below `target`."""
        for row in rows:
            _move(self._resume.folder, target, row, self._file)
        self._resume.clear()


def _move(source: Path, target: Path, row: Row, file: Format) -> None:
    """The file that tells that an image is there comes last."""
    for old, new in zip(files_of(source, row.id, file), files_of(target, row.id, file), strict=True):
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(old, new)
