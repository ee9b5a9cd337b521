"""Reports of several studies without classifiers on one page, e.g. of one question at two scales."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from leukosr.errors import LeukoError
from leukosr.files import new_file
from leukosr.quoting import require_folder
from leukosr.report.content import Figure
from leukosr.report.pictures import data_uri
from leukosr.report.quality_blocks import DIFFERENCES, difference_rows
from leukosr.report.tables import number
from leukosr.report.template import template
from leukosr.tables import read_own_table

FIGURES = {"grid": "The same cells in every arm, with the marked crop enlarged", "maps": "Masks and predicted maps"}


def write_side_by_side(folder: Path, reports: Sequence[Path]) -> Path:
    """Write index.html and comparison.csv (`report, arm`, quality, published figures) of finished reports to `folder`.

    The reports are folders of reports/ or results/. Raises LeukoError for fewer than two, for two of one name, and for
    one that is missing or has classifiers.
    """
    names = [report.resolve().name for report in reports]
    if len(set(names)) < max(len(names), 2):
        raise LeukoError(f"name two reports or more of different names, got {', '.join(names) or 'none'}")
    tables = {name: _comparison(report) for name, report in zip(names, reports, strict=True)}
    joint = pd.concat([table.assign(report=name) for name, table in tables.items()])
    parts = [(name, _differences(report), _figures(name, report)) for name, report in zip(names, reports, strict=True)]
    heads = [f"{name}, {what}" for name, table in tables.items() for what in _measures(table).values()]
    page = template("side_by_side.html.j2").render(names=names, head=["arm", *heads], rows=_rows(tables), parts=parts)
    with new_file(folder / "comparison.csv") as path:
        joint[["report", *(column for column in joint if column != "report")]].to_csv(path, index=False)
    with new_file(folder / "index.html") as path:
        path.write_text(page, encoding="utf-8")
    return folder / "index.html"


def _comparison(report: Path) -> pd.DataFrame:
    try:
        table = read_own_table(require_folder(report, "name the folder of a finished report") / "comparison.csv")
    except FileNotFoundError:
        raise LeukoError(f"{report} holds no comparison.csv: name the folder of a finished report") from None
    if not {"arm", "psnr", "ssim"} <= set(table) or "experiment" in table:
        raise LeukoError(f"{report} holds more than image quality: name studies without classifiers")
    _with_numbers(report / "comparison.csv", table, list(_measures(table)))
    return table  # as text, so that what is written anew is what was read


def _differences(report: Path) -> list[list[str]]:
    file = report / "differences.csv"
    if not file.is_file():
        return []
    table = read_own_table(file)
    if lacking := [name for name in DIFFERENCES if name not in table]:
        raise LeukoError(f"{file} is damaged: it lacks the column {lacking[0]}; make the report again")
    return difference_rows(_with_numbers(file, table, DIFFERENCES[3:]))


def _with_numbers(file: Path, table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The table with columns of numbers, an empty cell as NaN. Raises LeukoError for a cell that holds none."""
    try:
        return table.assign(**{name: pd.to_numeric(table[name]) for name in columns})
    except ValueError as error:
        raise LeukoError(f"{file} is damaged: {error}; make the report again") from None


def _measures(table: pd.DataFrame) -> dict[str, str]:
    shown = {"psnr": "PSNR, dB", "ssim": "SSIM", "published_psnr": "published PSNR", "published_ssim": "published SSIM"}
    return {name: words for name, words in shown.items() if name in table}


def _rows(tables: dict[str, pd.DataFrame]) -> list[list[str]]:
    arms = dict.fromkeys(arm for table in tables.values() for arm in table["arm"])
    rows = []
    for arm in arms:
        cells = []
        for table in tables.values():
            own = table[table["arm"] == arm]
            for name in _measures(table):
                value = pd.to_numeric(own[name]).iloc[0] if len(own) else None
                cells.append(number(value, 2 if "psnr" in name else 4))
        rows.append([arm.replace("_", " "), *cells])
    return rows


def _figures(name: str, report: Path) -> list[Figure]:
    files = {report / "figures" / f"{figure}.png": words for figure, words in FIGURES.items()}
    return [Figure(data_uri(file, True), f"{words}: {name}.") for file, words in files.items() if file.is_file()]
