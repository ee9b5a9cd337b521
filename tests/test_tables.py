"""Tables: one strict reader for those that people bring; what we write is no formula and comes back as it was."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukosr import tables
from leukosr.errors import LeukoError
from leukosr.tables import (
    escape_cell,
    one_spelling,
    read_own_rows,
    read_own_table,
    read_table,
    unescape_cell,
    write_frame,
    write_table,
)

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def read(folder: Path, content: str | bytes, *needed: str) -> pd.DataFrame:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, needed or ("a", "b"), "a table of a and b")


def test_cells_are_text_indexed_by_line(tmp_path: Path) -> None:
    found = read(tmp_path, 'a,b,,c\n\n 1 ,"x, y",z,\n,,,\n"2\n3", NA \n')
    assert list(found.columns) == ["a", "b", "c"]
    assert list(found.index) == [3, 5]
    assert found.to_numpy().tolist() == [["1", "x, y", ""], ["2\n3", "NA", ""]]


def test_the_apostrophe_against_formulas_is_taken_away(tmp_path: Path) -> None:
    assert read(tmp_path, "a,b\n'=1,'a\n").to_numpy().tolist() == [["=1", "'a"]]


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_the_delimiter_is_the_one_that_gives_the_needed_columns(tmp_path: Path, sign: str) -> None:
    others = ", ".join({",", ";", "\t"} - {sign})
    assert list(read(tmp_path, f'a{sign}b{sign}"p{others}"\n1{sign}2{sign}3\n').columns)[:2] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; it should be a table of a and b, with the columns a, b"),
        (",,\n \n", "is empty"),
        ("a;c\n", "lacks the column b of a table of a and b; it has a, c"),
        ("a,b, a\n", "has the column a 2 times"),
        ("a,b\n1,2,3\n", "line 2 has 3 cells, but 2 columns have names"),
        ('a,b\n1,"2\n', r"is not a CSV table \(line 2: a double quote is not closed\)"),
        ("a,b\n1," + "x" * 200_000, r"is not a CSV table \(line 2: field larger than field limit"),
        ("a,b\nü,1\n".encode("cp1252"), r"is not UTF-8 text \(line 2; .*: save it as CSV UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "holds NUL characters .*UTF-16 without a byte-order mark"),
        (b"\xff\xfea", "is not UTF-16 text"),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(LeukoError, match=rf"table\.csv {message}"):
        read(tmp_path, content)


def test_long_rows_may_end_in_empty_cells(tmp_path: Path) -> None:
    assert read(tmp_path, "a;b\n1;2;;;\n").to_numpy().tolist() == [["1", "2"]]


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_BYTES", 2**20)
    with pytest.raises(LeukoError, match="is larger than 1 MB"):
        read_table(Path("/dev/zero"), ("a",), "a table")


@given(st.text(), st.integers(0, 3))
def test_escaped_text_is_no_formula_and_comes_back(text: str, apostrophes: int) -> None:
    for cell in (text, "'" * apostrophes + text, "=" + text, "'-" + text):
        assert not escape_cell(cell).startswith(FORMULA)
        assert unescape_cell(escape_cell(cell)) == cell
    assert escape_cell("plain - text = 1") == "plain - text = 1"


ODD = [
    "=1", "+a", "-1/b.png", "@x", "\ttab", "\rreturn", "a\rb", "a\nb", "'=", "''", '"', ",", "", " blank ", "NA", "1.0",
]  # fmt: skip


def test_written_rows_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    write_table(path, ("name", "number"), [(name, -0.5) for name in ODD])
    assert read_own_rows(path) == [["name", "number"], *([name, "-0.5"] for name in ODD)]
    with path.open(newline="", encoding="utf-8") as file:
        assert not [row for row in csv.reader(file) if row[0].startswith(FORMULA)]


def test_written_frames_come_back_as_they_were_and_can_be_added_to(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    frame = pd.DataFrame({"name": ODD, "number": np.float32(-0.1), "mixed": [None, 1, "=x", *[2.5] * (len(ODD) - 3)]})
    write_frame(path, frame.iloc[:5])
    write_frame(path, frame.iloc[5:])
    found = read_own_table(path)
    assert list(found["name"]) == ODD
    assert set(found["number"]) == {"-0.1"}
    assert list(found["mixed"])[:4] == ["", "1", "=x", "2.5"]
    assert b"\r\n" not in path.read_bytes()


def test_a_damaged_own_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("a,b\n1\n")
    with pytest.raises(LeukoError, match=r"own\.csv is damaged: it has 2 columns and a row of 1 cell$"):
        read_own_rows(tmp_path / "own.csv")


def test_one_name_is_spelt_in_one_way() -> None:
    one_spelling(["a", "b", "a", "1", "10"], "it writes one name")
    for other in ("A", "a ", "\ta"):
        with pytest.raises(LeukoError, match=r"it writes one name as 'a' and .*: write it in one way"):
            one_spelling(["a", "b", other], "it writes one name")
