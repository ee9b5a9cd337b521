"""A few small image files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from leukosr.config import Params

COUNT = 8


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """JPEGs of blurred noise, 240 x 320, in two class folders."""
    folder, rng = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    made = [folder / ("dark", "light")[i % 2] / f"{i}.jpg" for i in range(COUNT)]
    for file in made:
        file.parent.mkdir(exist_ok=True)
        coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        cv2.imwrite(str(file), cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC))
    return made


@pytest.fixture(scope="session")
def params() -> Params:
    """The parameters of the benchmarks."""
    from benchmarks.images import published_params

    return published_params("degrade=capstone")
