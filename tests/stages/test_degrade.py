"""Where the stage degrade writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from leukosr.config import Params
from leukosr.data.manifest import Row
from leukosr.stages import degrade


def test_a_jpeg_that_lies_in_the_folder_does_not_take_the_png(
    compose_params: Callable[..., Params], tmp_path: Path
) -> None:
    params = compose_params("study=demo")
    (tmp_path / "a.jpg").touch()
    row = Row("a", "a.png", "cell", "s1", 8, 8, {"paper": "classifier_train"})
    task = degrade._task(row, params, degrade.degradation_settings(params), tmp_path)
    assert task.target == tmp_path / "a.png"
