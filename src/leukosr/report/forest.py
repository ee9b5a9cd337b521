"""A forest plot: what published studies had declared before their first runs, and what they found, in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from pydantic import ValidationError

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.declared import compare_declared, place_in_family, read_sidecar
from leukosr.evaluate.arms.pairs import pair
from leukosr.evaluate.arms.predictions import read_predictions
from leukosr.evaluate.arms.significance import Comparison
from leukosr.evaluate.claims import Claim, Claims
from leukosr.files import new_file
from leukosr.quoting import listed, require_folder
from leukosr.report.comparisons import NAMES, difference_text, has_interval
from leukosr.report.style import SEQUENCE, new_figure, titles
from leukosr.yaml_file import read_yaml

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
    params = {result: _params(result) for result in results}
    claims = {result: _claims(result, each) for result, each in params.items()}
    (first, kept), *others = claims.items()
    for result, each in others:
        if (each.metric, each.margin) != (kept.metric, kept.margin):
            raise LeukoError(f"{result} and {first} declare different metrics or margins: draw them apart")
    findings = {result: _findings(result, params[result], claims[result]) for result in results}
    rows = [
        {"result": each.result, "protocol": each.protocol, "first": each.found.a, "second": each.found.b}
        | {column: asdict(each.found)[column] for column in COLUMNS}
        for own in findings.values()
        for each in own
    ]
    with new_file(folder / "forest.csv") as path:
        pd.DataFrame(rows).to_csv(path, index=False, lineterminator="\n")
    _draw(folder / "forest.png", {_heading(result, params[result]): own for result, own in findings.items()}, params)
    return [each for own in findings.values() for each in own]


def _params(result: Path) -> Mapping[str, Any]:
    file = require_folder(result, REMEDY) / "params.yaml"
    params = dict(read_yaml(file)) if file.is_file() else {}
    if not params.get("claims"):
        raise LeukoError(f"{result} declares no claims: {REMEDY}")
    return params


def _claims(result: Path, params: Mapping[str, Any]) -> Claims:
    try:
        return Claims.model_validate(params["claims"])
    except ValidationError as error:
        raise LeukoError(
            f"{result}/params.yaml: its claims cannot be read ({error}): publish the study again"
        ) from None


def _findings(result: Path, params: Mapping[str, Any], claims: Claims) -> list[Finding]:
    asked = [(_table(result, claim, claim.first), _table(result, claim, claim.second)) for claim in claims.family]
    names = {
        table: name
        for claim, both in zip(claims.family, asked, strict=True)
        for table, name in zip(both, (claim.first, claim.second), strict=True)
    }
    arms = {table: read_predictions(table, name) for table, name in names.items()}
    origins = {table: read_sidecar(table) for table in names}
    if any(origin is None or origin.claims.digest != claims.digest for origin in origins.values()):
        raise LeukoError(f"{result}: the claims beside its predictions are not those of its params.yaml: publish again")
    pairs = [pair(arms[one], arms[two]) for one, two in asked]
    places = [place_in_family(origins[one], origins[two]) for one, two in asked]
    found = [each for each in compare_declared(pairs, places, claims, claims.metric, claims.margin) if each.primary]
    if other := next((each for each in found if not each.declared), None):
        raise LeukoError(f"{result}: {other.a} and {other.b} have other runs than were declared: publish it again")
    called = titles(params, {name for claim in claims.family for name in (claim.first, claim.second)})
    several = len({claim.protocol for claim in claims.family}) > 1
    return [
        Finding(
            result.resolve().name,
            f"{called[claim.first]} – {called[claim.second]}" + (f", {claim.protocol}" if several else ""),
            claim.protocol,
            each,
        )
        for claim, each in zip(claims.family, found, strict=True)
    ]


def _table(result: Path, claim: Claim, name: str) -> Path:
    """The published predictions of an experiment; their names say the protocol where a study has several."""
    folder = result / "plots/confusion"
    names = (f"{name}_{claim.protocol}.csv", f"{name}.csv")
    found = next((folder / each for each in names if (folder / each).is_file()), None)
    if found is None:
        raise LeukoError(f"{folder / names[1]} is not there, but {name} is among the claims: publish the study again")
    return found


def _heading(result: Path, params: Mapping[str, Any]) -> str:
    """`pbc-answer-mild: ×2, noise 10`: the name of a result, and what was done to its images."""
    degrade = params["degrade"]
    how = f"noise {degrade['noise_sigma']:g}" if "noise_sigma" in degrade else degrade["method"].replace("_", " ")
    return f"{result.resolve().name}: ×{params['image']['scale']}, {how}"


def _draw(path: Path, findings: Mapping[str, Sequence[Finding]], params: Mapping[Path, Mapping[str, Any]]) -> None:
    comparisons = [each.found for own in findings.values() for each in own]
    margin, sizes = 100 * comparisons[0].margin, sorted({each.images for each in comparisons})
    images = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    budgets: dict[str, list[str]] = {}
    for result, each in params.items():
        budgets.setdefault(each["budget"].get("note") or each["budget"]["name"], []).append(result.resolve().name)
    note = (
        "points: means over runs; bars: 95 % intervals over runs and sources; words: after Holm over the claims of "
        f"each result; band: the margin of {margin:g} points; {images} test images. "
        + "; ".join(f"{', '.join(names)}: {budget}" for budget, names in budgets.items())
    )  # fmt: skip
    lines: list[Finding | str] = []
    for heading, own in findings.items():
        lines += [heading, *own]
    with new_figure(path, 8.6, 0.27 * len(lines) + 0.9, note) as figure:
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
    panel.plot([100 * found.difference], [row], marker="o", color=colour)
    if has_interval(found) and found.ci_low is not None and found.ci_high is not None:
        panel.hlines(row, 100 * found.ci_low, 100 * found.ci_high, color=colour)
    words = f"{found.verdict}, {difference_text(found)}"
    panel.text(1.02, row, words, transform=panel.get_yaxis_transform(), va="center", fontsize=9)
