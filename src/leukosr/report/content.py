"""What the report page shows, as its template (report.html.j2) reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from leukosr.report.block import Block
from leukosr.report.published import PublishedStudy
from leukosr.report.results import StudyResults

if TYPE_CHECKING:
    from leukosr.report.answer import Answer
    from leukosr.report.comparer import Comparer, Gallery

    # it composes conf/ by Hydra, which commands on anyone's images do without
    from leukosr.report.reproduce import Reproduction

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A picture on the page: the data URI of its pixels and the words that stand for it."""

    uri: str
    alt: str


@dataclass(frozen=True)
class SweepPart:
    """The sweep: what was trained, the sentences, and the figures with their captions."""

    what: str
    sentences: Sequence[str]
    figures: Mapping[str, str]


@dataclass(frozen=True)
class VerdictPart:
    """The verdicts under one protocol, as verdicts.html.j2 reads them."""

    name: str
    head: Sequence[str]
    rows: Rows
    sentences: Sequence[str]
    conditional: Rows
    unknown: str
    sizes: Sequence[str]


@dataclass(frozen=True)
class ProtocolPart:
    """The study under one protocol: tables, sentences, and the names of its figures among the pictures."""

    name: str
    words: str
    disjoint: bool
    comparison: Rows
    experiments: Rows
    published: bool
    percentiles: Rows
    leakage: Sequence[str]
    judged: VerdictPart
    accuracy: str
    confusion: Mapping[str, str]


@dataclass(frozen=True)
class Page:
    """The whole page; `results` and what has no protocol of its own are those of the study's first protocol."""

    title: str
    answer: Answer
    lead: str
    precision: str
    budget: str
    budget_name: str
    results: StudyResults
    protocols: Sequence[ProtocolPart]
    claims: str
    evidence: Sequence[tuple[str, Sequence[Block]]]
    split_effects: Rows
    split_head: Sequence[str]
    split_words: str
    sweep: SweepPart | None
    published: PublishedStudy | None
    published_label: str
    f1: Rows
    per_class: Rows
    sr_rows: Rows
    counts: pd.DataFrame
    main_protocol: str
    rejected: Sequence[Any]
    degradation: Rows
    caveat: str | None
    idle: str
    images: int
    quality_words: str
    wrapped: bool
    params_yaml: str
    reproduce: Reproduction
    sheet_items: int
    sheet_gaps: int
    versions: Mapping[str, str]
    pictures: Mapping[str, Figure]
    comparer: Comparer | None
    mistakes: Sequence[Gallery]
