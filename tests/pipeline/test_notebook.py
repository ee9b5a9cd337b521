"""The notebooks run: most of them on a finished demo, and they say what to do where there is none."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from tests.notebook import execute as run

from .conftest import ARMS, REPO, Clone

pytestmark = pytest.mark.pipeline

FOLDER = REPO / "notebooks"
TOUR, CELL, EXPLANATIONS = "01-tour", "02-one-cell", "03-explanations"  # which read the demo
VARIANCE = "04-variance-and-equivalence"  # reads published results
LARGEST = 400_000  # bytes of a committed notebook


@pytest.fixture
def demo_kernel(monkeypatch: pytest.MonkeyPatch, finished: Clone) -> None:
    """Kernels run in the environment of the clone."""
    for key, value in finished.env.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def read(name: str) -> nbformat.NotebookNode:
    """A committed notebook, without outputs."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    for cell in code_cells(notebook):
        cell.outputs = []
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_table(output: nbformat.NotebookNode) -> bool:
    return "text/html" in output.get("data", {}) or output.get("name") == "stdout"


def is_picture(output: nbformat.NotebookNode) -> bool:
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def execute(notebook: nbformat.NotebookNode, root: Path) -> list[nbformat.NotebookNode]:
    """All outputs of a notebook that is run below `root`."""
    (root / "notebooks").mkdir(exist_ok=True)
    run(notebook, root / "notebooks")
    return [output for cell in code_cells(notebook) for output in cell.outputs]


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.ipynb")), ids=lambda file: file.stem)
def test_a_committed_notebook_shows_its_pictures_and_tables_and_is_small(file: Path) -> None:
    cells = code_cells(nbformat.read(file, as_version=4))
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(is_picture(output) or is_table(output) for output in outputs), "no errors, warnings or bars"
    assert {any(map(is_picture, outputs)), any(map(is_table, outputs))} == {file.stem != TOUR}
    assert all(cell.execution_count is None for cell in cells)
    assert file.stat().st_size < LARGEST


@pytest.mark.usefixtures("demo_kernel")
def test_the_tour_runs_on_a_finished_study_and_shows_pictures_and_tables(finished: Clone) -> None:
    outputs = execute(read(TOUR), finished.root)
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    # smears, degradation, grid, quality, accuracy, and a confusion matrix an arm; roles, two of results, settings, runs
    assert kinds.count("image/png") == 5 + len(ARMS) and kinds.count("text/html") == 5
    assert not [output for output in outputs if output.get("name") == "stderr"]


@pytest.mark.slow
@pytest.mark.usefixtures("demo_kernel")
@pytest.mark.parametrize(("name", "pictures"), [(CELL, 1), (EXPLANATIONS, 2)])
def test_the_others_run_on_it_too(name: str, pictures: int, finished: Clone) -> None:
    outputs = execute(read(name), finished.root)
    assert sum(map(is_picture, outputs)) == pictures
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_variance_and_equivalence_need_no_study_and_print_what_is_committed() -> None:
    outputs = execute(read(VARIANCE), REPO)
    kept = [out for cell in code_cells(nbformat.read(FOLDER / f"{VARIANCE}.ipynb", 4)) for out in cell.outputs]
    printed, committed = (
        "".join(out["text"] for out in each if out.get("name") == "stdout") for each in (outputs, kept)
    )
    number = re.compile(r"\d+(?:\.\d+)?")
    words, words_kept = ("".join(number.sub("#", text).split()) for text in (printed, committed))
    assert words == words_kept, f"run and commit: python -m tests.notebook notebooks/{VARIANCE}.ipynb"
    found, kept_numbers = ([float(each) for each in number.findall(text)] for text in (printed, committed))
    assert found == pytest.approx(kept_numbers, rel=0.05, abs=0.1)  # simulated: another processor rounds differently
    text = "".join(output.get("text", "") for output in outputs)
    assert sum(map(is_picture, outputs)) == 1
    assert all(word in text for word in ("no gain", "equivalent", "clearly better", "No number of runs suffices"))


@pytest.mark.usefixtures("demo_kernel")
@pytest.mark.parametrize("name", [TOUR, pytest.param(CELL, marks=pytest.mark.slow)])
def test_without_a_finished_study_the_first_cell_says_to_make_it(name: str, finished: Clone, tmp_path: Path) -> None:
    shutil.copyfile(finished.root / "params.yaml", tmp_path / "params.yaml")
    notebook = read(name)
    with pytest.raises(CellExecutionError) as problem:
        execute(notebook, tmp_path)
    assert problem.value.ename == "LeukoError" and "run `make repro`" in problem.value.evalue
    assert notebook.cells[-1].get("execution_count") is None
