"""How a stage looks at each image of a set before it is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from leukosr.data.settings import Prepare, Provenance
from leukosr.images.reading import ImageFacts, inspect_image


def inspector(settings: Prepare | Provenance) -> Callable[[Path], ImageFacts]:
    """What checks one file, alike in `provenance` and `prepare`: of other images they would draw others."""
    return partial(inspect_image, max_pixels=settings.max_pixels, least=settings.least_size)
