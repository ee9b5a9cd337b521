"""Which images show the same source: `sources.csv` as people write it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leukosr.data.catalogue import Checked, SetFile
from leukosr.data.sources import Sources, read_sources
from leukosr.errors import LeukoError


def images(*paths: str) -> list[Checked]:
    return [Checked(SetFile(path, "a", "all"), width=9, height=9) for path in paths]


def read(folder: Path, content: str | bytes, *paths: str) -> Sources:
    (folder / "sources.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_sources(folder, images(*paths))


def test_sources_that_were_found_are_read_where_the_set_has_none(tmp_path: Path) -> None:
    found = tmp_path / "found"
    found.mkdir()
    (found / "sources.csv").write_text("image,source,confidence\nTEST/a/1.jpeg,source-0001,0.9\n")
    searched_images = images("TEST/a/1.jpeg", "TEST/a/2.jpeg")
    assert read_sources(tmp_path, searched_images, found) == Sources({"TEST/a/1": "source-0001"})
    (tmp_path / "sources.csv").write_text("path,source\nTEST/a/1.jpeg,smear 7\n")
    assert read_sources(tmp_path, searched_images, found).by_image == {"TEST/a/1": "smear 7"}


@pytest.mark.parametrize("empty", ["", "nan", "NaN"])
def test_an_empty_cell_is_no_source_that_images_share(tmp_path: Path, empty: str) -> None:
    known = read(
        tmp_path, f"path,source\na/1.png,s\na/2.png,{empty}\na/3.png,{empty}\n", *(f"a/{n}.png" for n in "123")
    )
    assert known.by_image == {"a/1": "s"}
    assert "2 of 3 images have no source" in known.notes[0]


def test_sources_are_known_by_the_id_of_the_image(tmp_path: Path) -> None:
    table = "path,source,note\nTEST/a/1.b.jpg,smear 7,\n./TEST/a/2.png,smear 8,\nTEST/a/3.c,smear 9\n"
    known = read(tmp_path, table, "TEST/a/1.b.jpg", "TEST/a/2.tif", "TEST/a/3.c.png")
    assert known == Sources({"TEST/a/1.b": "smear 7", "TEST/a/2": "smear 8", "TEST/a/3.c": "smear 9"})


@pytest.mark.parametrize(
    "content",
    [
        "path,source\na/1.png,größer\n",
        "\ufeffpath;source\r\na/1.png;größer\r\n",
        " path , source \na/1.png , größer \n",
        "path\tsource\na/1.png\tgro\u0308ßer\n",
        '"path","source"\r"a\\1.png","größer"\r',
        "path,source\na\\1.png,größer\n",
    ],
    ids=["plain", "excel", "blanks", "tabs, decomposed", "quoted, old Mac", "backslash"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_one_table_in_any_form_says_the_same(tmp_path: Path, content: str, encoding: str) -> None:
    assert read(tmp_path, content.encode(encoding), "a/1.png") == Sources({"a/1": "größer"})


def test_blanks_around_a_source_do_not_make_it_another(tmp_path: Path) -> None:
    known = read(tmp_path, "path,source\na/1.png,P1\na/2.png,P1 \na/3.png,\u00a0P1\n", "a/1.png", "a/2.png", "a/3.png")
    assert set(known.by_image.values()) == {"P1"}


@pytest.mark.parametrize(("one", "other"), [("P1", "p1"), ("7", "7.0"), ("Smear 1", "Smear  1")])
def test_two_spellings_of_a_source_are_refused(tmp_path: Path, one: str, other: str) -> None:
    expected = f"sources.csv writes one source as '{one}' and '{other}': write it in one way"
    with pytest.raises(LeukoError, match=re.escape(expected)):
        read(tmp_path, f"path,source\na/1.png,{one}\na/2.png,{other}\n", "a/1.png", "a/2.png")


def test_another_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        LeukoError, match=r"sources\.csv is not UTF-8 text \(line 2; .*Latin-1.*\): save it as CSV UTF-8"
    ):
        read(tmp_path, "path,source\na/1.png,größer\n".encode("latin-1"), "a/1.png")


def test_a_table_of_other_names_is_refused_with_an_example_of_both(tmp_path: Path) -> None:
    expected = r"none of the 2 paths in .*sources\.csv is an image of the set, e\.g\. C:\\x\\1\.png; .* e\.g\. a/1\.png"
    with pytest.raises(LeukoError, match=expected):
        read(tmp_path, "path,source\nC:\\x\\1.png,P1\nC:\\x\\2.png,P2\n", "a/1.png", "a/2.png")


def test_rows_and_images_without_partner_are_counted_and_named(tmp_path: Path) -> None:
    known = read(tmp_path, "path,source\na/1.png,P1\na/9.png,P2\n.,P3\na/3.png,\n", "a/1.png", "a/2.png", "a/3.png")
    assert known.by_image == {"a/1": "P1"}
    table = tmp_path / "sources.csv"
    assert known.notes == (
        f"2 of 3 rows of {table} name no image of the set, e.g. a/9.png",
        f"2 of 3 images have no source in {table}, e.g. a/2.png",
    )


def test_two_sources_of_one_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"line 3 gives a/1\.png the source P2, line 2 the source P1: keep one"):
        read(tmp_path, "path,source\na/1.png,P1\na/1.png,P2\n", "a/1.png")
    assert read(tmp_path, "path,source\na/1.png,P1\na/1.png,P1\na/1.tif,P2\n", "a/1.png").by_image == {"a/1": "P1"}


def test_a_set_without_sources_has_none(tmp_path: Path) -> None:
    assert read_sources(tmp_path, images("a/1.png")) == Sources({})


def test_sources_without_their_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match="needs the columns path and source; it has file, source"):
        read(tmp_path, "file,source\na/1.png,smear 7\n")
    with pytest.raises(LeukoError, match="lacks the column source of the sources of a set"):
        read(tmp_path, "path,patient\na/1.png,smear 7\n")


def test_a_pattern_finds_the_patient_in_the_name_of_a_file(tmp_path: Path) -> None:
    breakhis = images("40/SOB_B_A-14-22549AB-40-001.png", "100/SOB_B_A-14-22549AB-100-002.png")
    patient = r"^[^-]+-(\d+-\w+)-"
    assert set(read_sources(tmp_path, breakhis, pattern=patient).by_image.values()) == {"14-22549AB"}
    (tmp_path / "sources.csv").write_text("path,source\n40/SOB_B_A-14-22549AB-40-001.png,known\n")
    found = read_sources(tmp_path, breakhis, pattern=patient)
    assert set(found.by_image.values()) == {"known"}
    assert found.notes[0] == f"prepare.source_pattern is not used, as {tmp_path / 'sources.csv'} names the sources"
    (tmp_path / "sources.csv").unlink()
    with pytest.raises(
        LeukoError, match=r"source_pattern '.*' finds no source in the names of 1 of 2 images, e\.g\. x\.png"
    ):
        read_sources(tmp_path, [*breakhis[:1], *images("x.png")], pattern=patient)
