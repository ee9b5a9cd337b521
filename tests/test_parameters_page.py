"""docs/parameters.md: every key of params.yaml, with its meaning, as the schema and conf/ have it today."""

from __future__ import annotations

from pathlib import Path

import parameters_page
import pytest

from leukosr.config import Params
from leukosr.config.schema import Row, Schema

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema()


@pytest.fixture(scope="module")
def rows(schema: Schema) -> list[Row]:
    return [row for section, node in schema.sections.items() for row in schema.rows(section, node)]


def test_every_parameter_has_a_meaning(rows: list[Row]) -> None:
    assert [row.key for row in rows if not row.meaning.strip()] == []


def test_every_kind_of_a_section_says_what_it_is(schema: Schema, rows: list[Row]) -> None:
    assert {"train_sr.NAME.method", "upscale.NAME.by", "upscale.NAME.filter", "degrade.method"} <= set(schema.kinds)
    assert [label for kinds in schema.kinds.values() for label, text in kinds.items() if not text.strip()] == []


def test_every_section_is_there(rows: list[Row]) -> None:
    assert {row.key.partition(".")[0] for row in rows} == set(Params.model_fields)


def test_the_committed_page_is_what_schema_and_configuration_give() -> None:
    page = parameters_page.page()
    assert (ROOT / "docs/parameters.md").read_text(encoding="utf-8") == page, (
        "run `make parameters` and commit the page"
    )
