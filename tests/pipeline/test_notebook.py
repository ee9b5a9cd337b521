"""The notebook runs on a finished study and says what to do where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from .conftest import ARMS, REPO, Clone

pytestmark = pytest.mark.pipeline

TOUR = REPO / "notebooks/01-tour.ipynb"


@pytest.fixture
def tour(monkeypatch: pytest.MonkeyPatch, finished: Clone) -> nbformat.NotebookNode:
    """The notebook, for a kernel that runs in the environment of the clone."""
    for key, value in finished.env.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return nbformat.read(TOUR, as_version=4)


def execute(notebook: nbformat.NotebookNode, root: Path) -> None:
    """Run all cells as Jupyter does: in the notebook's own folder."""
    (root / "notebooks").mkdir(exist_ok=True)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(root / "notebooks")}}
    )
    client.execute()


def test_the_tour_is_committed_without_outputs() -> None:
    cells = nbformat.read(TOUR, as_version=4).cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells if cell.cell_type == "code")


def test_the_tour_runs_on_a_finished_study_and_shows_pictures_and_tables(
    tour: nbformat.NotebookNode, finished: Clone
) -> None:
    execute(tour, finished.root)
    outputs = [output for cell in tour.cells if cell.cell_type == "code" for output in cell.outputs]
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    # smears, degradation, grid, quality, accuracy, and a confusion matrix an arm; roles, two of results, settings, runs
    assert kinds.count("image/png") == 5 + len(ARMS) and kinds.count("text/html") == 5
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_without_a_finished_study_the_first_cell_says_to_make_it(
    tour: nbformat.NotebookNode, finished: Clone, tmp_path: Path
) -> None:
    shutil.copyfile(finished.root / "params.yaml", tmp_path / "params.yaml")
    with pytest.raises(CellExecutionError) as problem:
        execute(tour, tmp_path)
    assert problem.value.ename == "LeukoError" and "run `make repro`" in problem.value.evalue
    assert tour.cells[-1].get("execution_count") is None
