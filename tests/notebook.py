"""`python -m tests.notebook FILE.ipynb`: run a notebook again and keep what it prints and draws, as it is committed."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tests.patience import PATIENCE


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells as Jupyter does: in the notebook's own folder. What a cell prints is one output."""
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        notebook, timeout=PATIENCE, kernel_name="python3", resources=resources, coalesce_streams=True
    )
    client.execute()


def keep(file: Path) -> None:
    """Run the notebook in `file` and write it with its outputs, without the counts and times of this run."""
    notebook = nbformat.read(file, as_version=4)
    execute(notebook, file.parent)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = None
    nbformat.write(notebook, file)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        keep(Path(name))
        print(f"{name} run again")
