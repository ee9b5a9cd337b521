"""A forest plot: what published studies had declared before their first runs, and what they found, in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from pydantic import ValidationError

from leukosr.config.load import explain
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.declared import compare_declared, place_in_family
from leukosr.evaluate.arms.pairs import pair
from leukosr.evaluate.arms.significance import Comparison
from leukosr.evaluate.claims import Claims
from leukosr.files import new_file
from leukosr.quoting import listed, require_folder
from leukosr.report.comparisons import NAMES, difference_text, has_interval, verdict_text
from leukosr.report.snapshot import REMEDY as RESTORE
from leukosr.report.snapshot import Snapshot
from leukosr.report.style import SEQUENCE, new_figure

REMEDY = "name a folder that `leukosr publish` wrote of a study with claims"
COLUMNS = (
    "metric", "difference", "ci_low", "ci_high", "ci90_low", "ci90_high", "margin", "p_holm", "verdict", "runs",
    "sources", "images",
)  # fmt: skip
COLOURS = {"clearly better": SEQUENCE[2], "better": SEQUENCE[2], "worse": SEQUENCE[1], "clearly worse": SEQUENCE[1]}


@dataclass(frozen=True)
class Finding:
    """A declared comparison: the published result it is of, what is compared, in words, and the verdict."""

    result: str
    what: str
    protocol: str
    found: Comparison

    @property
    def sentence(self) -> str:
        """`pbc-answer-probe: Real-ESRNet – bicubic: no gain, −1.8 (−4.1 … +0.6)`."""
        return f"{self.result}: {self.what}: {self.found.verdict}, {difference_text(self.found)}"


def write_forest(folder: Path, results: Sequence[Path]) -> list[Finding]:
    """Write forest.csv and forest.png of every comparison that published results declared to `folder`.

    Each study's claims are a family of their own, so verdicts are those of its page. Raises LeukoError for results of
    one name, without claims or the predictions that these name, for claims or runs that are not those declared, and for
    different metrics or margins.
    """
    if len({result.resolve().name for result in results}) < len(results):
        raise LeukoError(f"two of the results have one name: {listed([str(each) for each in results])}; name each once")
    snapshots = [_snapshot(result) for result in results]
    claims = [_claims(snapshot) for snapshot in snapshots]
    for snapshot, each in zip(snapshots, claims, strict=True):
        if (each.metric, each.margin) != (claims[0].metric, claims[0].margin):
            raise LeukoError(
                f"{snapshot.folder} and {results[0]} declare different metrics or margins: draw them apart"
            )
    findings = [_findings(snapshot, each) for snapshot, each in zip(snapshots, claims, strict=True)]
    rows = [
        {"result": each.result, "protocol": each.protocol, "first": each.found.a, "second": each.found.b}
        | {column: asdict(each.found)[column] for column in COLUMNS}
        for own in findings
        for each in own
    ]
    parts = [(_heading(snapshot), own) for snapshot, own in zip(snapshots, findings, strict=True)]
    budgets = _budgets(snapshots)
    with new_file(folder / "forest.csv") as path:
        pd.DataFrame(rows).to_csv(path, index=False, lineterminator="\n")
    draw_forest(folder / "forest.png", parts, budgets)
    return [each for own in findings for each in own]


def _snapshot(result: Path) -> Snapshot:
    snapshot = Snapshot(require_folder(result, REMEDY))
    files = [result / name for name in ("index.html", "params.yaml")]
    if not all(file.is_file() for file in files) or not snapshot.params.get("claims"):
        if (result / "verdicts.csv").is_file():
            raise LeukoError(
                f"{result} was written by `leukosr combine`: its own claims are in figures/forest.png there"
            )
        raise LeukoError(f"{result} declares no claims: {REMEDY}")
    return snapshot


def _claims(snapshot: Snapshot) -> Claims:
    try:
        return Claims.model_validate(snapshot.params["claims"])
    except ValidationError as error:
        file = snapshot.folder / "params.yaml"
        told = explain(error.errors()[0], snapshot.params["claims"])
        raise LeukoError(f"{file}, section claims: {told}: {RESTORE}") from None


def _findings(snapshot: Snapshot, claims: Claims) -> list[Finding]:
    asked = [((each.first, each.protocol), (each.second, each.protocol)) for each in claims.family]
    keys = list(dict.fromkeys(key for both in asked for key in both))
    arms = {key: snapshot.said(*key) for key in keys}
    origins = {key: snapshot.origin(*key) for key in keys}
    if any(origin is None or origin.claims.digest != claims.digest for origin in origins.values()):
        raise LeukoError(
            f"{snapshot.folder}: the claims beside its predictions are not those of its params.yaml: publish again"
        )
    pairs = [pair(arms[one], arms[two]) for one, two in asked]
    places = [place_in_family(origins[one], origins[two]) for one, two in asked]
    found = [each for each in compare_declared(pairs, places, claims, claims.metric, claims.margin) if each.primary]
    if other := next((each for each in found if not each.declared), None):
        raise LeukoError(
            f"{snapshot.folder}: {other.a} and {other.b} have other runs than were declared: publish it again"
        )
    several = len({claim.protocol for claim in claims.family}) > 1
    called = {protocol: snapshot.labels(protocol) for _, protocol in keys}
    return [
        Finding(
            snapshot.folder.resolve().name,
            f"{called[claim.protocol][claim.first]} – {called[claim.protocol][claim.second]}"
            + (f", {claim.protocol}" if several else ""),
            claim.protocol,
            each,
        )
        for claim, each in zip(claims.family, found, strict=True)
    ]


def _heading(snapshot: Snapshot) -> str:
    """`pbc-answer-mild: ×2, noise 10, linear probe`: a result, what was done to its images, what classifies them."""
    first = snapshot.params["claims"]["family"][0]["first"]  # stands for all: a study compares images
    return f"{snapshot.folder.resolve().name}: {snapshot.degradation}, {snapshot.classifier(first)}"


def _budgets(snapshots: Sequence[Snapshot]) -> str:
    """The note of every budget, after the names of the results that had it."""
    names: dict[str, list[str]] = {}
    for snapshot in snapshots:
        names.setdefault(snapshot.budget_note, []).append(snapshot.folder.resolve().name)
    return "; ".join(f"{', '.join(own)}: {note}" for note, own in names.items())


def draw_forest(path: Path, parts: Sequence[tuple[str, Sequence[Finding]]], budgets: str) -> None:
    """Draw the findings of each part under its heading; all have one metric and one margin."""
    comparisons = [each.found for _, own in parts for each in own]
    margin, sizes = 100 * comparisons[0].margin, sorted({each.images for each in comparisons})
    images = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    family = "the claims of each study" if len(parts) > 1 else "all claims of the study"
    note = (
        "points: means over runs; bars: 95 % intervals over runs and sources; words: after Holm over "
        f"{family}; band: the margin of {margin:g} points; {images} test images. {budgets}"
    )
    lines: list[Finding | str] = []
    for heading, own in parts:
        lines += [heading, *own]
    longest = max(len(each.what if isinstance(each, Finding) else each) for each in lines)
    with new_figure(path, max(8.6, 5.2 + 0.075 * longest), 0.27 * len(lines) + 0.9, note) as figure:
        panel = figure.subplots()
        panel.axvspan(-margin, margin, color="#EEEEEE", zorder=0)
        panel.axvline(0, color="#555555", linewidth=0.8)
        for row, line in enumerate(lines):
            if isinstance(line, Finding):
                _draw_row(panel, row, line.found)
        panel.set_yticks(range(len(lines)), [each.what if isinstance(each, Finding) else each for each in lines])
        for line, label in zip(lines, panel.get_yticklabels(), strict=True):
            if isinstance(line, str):
                label.set_fontweight("bold")
        panel.tick_params(axis="y", length=0)
        panel.set_ylim(len(lines) - 0.5, -0.5)
        panel.set_xlabel(f"difference of {NAMES[comparisons[0].metric]}, points")
        panel.grid(True, axis="x")


def _draw_row(panel: Axes, row: int, found: Comparison) -> None:
    colour = COLOURS.get(found.verdict, SEQUENCE[0])
    panel.plot([100 * found.difference], [row], marker="o", markersize=4, color=colour)
    if has_interval(found) and found.ci_low is not None and found.ci_high is not None:
        panel.hlines(row, 100 * found.ci_low, 100 * found.ci_high, color=colour)
    words = f"{verdict_text(found)}, {difference_text(found)}"
    panel.text(1.02, row, words, transform=panel.get_yaxis_transform(), va="center", fontsize=9)
