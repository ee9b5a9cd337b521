"""DVC's queue of experiments: what docs/clusters.md shows."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.patience import PATIENCE

from .conftest import fresh_clone, tiny

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

STUDY = (*tiny([]), "-S", "study=demo_sr", "-S", "arms=[bicubic]")


def test_a_queued_study_runs_beside_the_folder_and_is_applied_to_it(tmp_path: Path) -> None:
    clone = fresh_clone(tmp_path)
    clone.run("dvc", "exp", "run", "--queue", "--name", "tiny", *STUDY)
    assert "Queued" in clone.run("dvc", "queue", "status")
    assert not (clone.root / "outputs").exists(), "nothing runs before a worker is started"
    clone.run("dvc", "queue", "start", "--jobs", "1")
    deadline = time.monotonic() + PATIENCE
    while "Success" not in (status := clone.run("dvc", "queue", "status")):
        assert "Failed" not in status, clone.run("dvc", "queue", "logs", "tiny")
        assert time.monotonic() < deadline, status
        time.sleep(2)
    clone.run("dvc", "queue", "stop")
    assert not (clone.root / "outputs").exists(), "it ran in a folder of its own"
    said = clone.run("dvc", "exp", "apply", "tiny", fails=True)  # sets and weights that nobody has fetched
    assert "pretrained/realesrgan_x4plus.safetensors" in said and "outputs" not in said and "reports" not in said
    summary = json.loads((clone.root / "reports/demo_sr/summary.json").read_text(encoding="utf-8"))
    assert summary["bicubic"]["psnr"] > 0
