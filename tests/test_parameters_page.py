"""docs/parameters.md: every key of params.yaml, with its meaning, as the schema and conf/ have it today."""

from __future__ import annotations

from pathlib import Path

import parameters_page
import pytest
from parameters_page import Row, Schema

from leukosr.config import Params

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    schema = Schema()
    return [row for section, node in schema.sections.items() for row in schema.rows(section, node)]


def test_every_parameter_has_a_meaning(rows: list[Row]) -> None:
    assert [row.key for row in rows if not row.meaning.strip()] == []


def test_every_kind_of_a_section_says_what_it_is() -> None:
    schema = Schema()
    for section, node in schema.sections.items():
        schema.rows(section, node)
    said = [sentence.partition(": ")[2].strip("` ") for kinds in schema.kinds.values() for sentence in kinds]
    assert len(said) > 30 and all(len(each.partition("`: ")[2] or each) > 10 for each in said)


def test_every_section_is_there(rows: list[Row]) -> None:
    assert {row.key.partition(".")[0] for row in rows} == set(Params.model_fields)


def test_the_committed_page_is_what_schema_and_configuration_give() -> None:
    page = parameters_page.page()
    assert (ROOT / "docs/parameters.md").read_text(encoding="utf-8") == page, (
        "run `make parameters` and commit the page"
    )
