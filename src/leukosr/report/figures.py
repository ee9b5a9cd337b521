"""Every figure in one place to import from; each takes the file to write and the budget note."""

from leukosr.report.charts import accuracy_figure, class_distribution, confusion_figure, quality_figure
from leukosr.report.curves import classifier_curves, sr_curves
from leukosr.report.grids import GridCell, arm_grid, degradation_grid, read_cell, sample_grid
from leukosr.report.style import budget_note

__all__ = [
    "GridCell",
    "accuracy_figure",
    "arm_grid",
    "budget_note",
    "class_distribution",
    "classifier_curves",
    "confusion_figure",
    "degradation_grid",
    "quality_figure",
    "read_cell",
    "sample_grid",
    "sr_curves",
]
