"""A published study: a folder that `leukosr publish` wrote."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from leukosr.config import parse_params
from leukosr.data.splits import shown_name
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.declared import SIDECAR, DamagedClaims, Origin, read_sidecar
from leukosr.evaluate.arms.predictions import Predictions, read_predictions
from leukosr.evaluate.arms.significance import MARGIN
from leukosr.report.answer import sr_experiments
from leukosr.report.style import budget_words
from leukosr.yaml_file import read_yaml

TABLE = r'<div class="scroll" role="region" aria-label="{}" tabindex="0">.*?</div>\n'
SECTIONS = ("study", "degrade", "image", "classify", "report", "budget")  # which parameters of every edition have
REMEDY = "restore it from version control, or publish the study again"
SAME_SCORE = 1e-9  # what is left of rounding where an accuracy is computed again
PLAIN = ("raw", "bicubic", "ground_truth")  # the arms of published studies that no network made


@dataclass(frozen=True)
class Snapshot:
    """A published study: its folder, and the protocols that its page shows verdicts of."""

    folder: Path

    @cached_property
    def page(self) -> str:
        """The page as it is."""
        return self._text("index.html")

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """Its parameters, of whichever edition."""
        file = self.folder / "params.yaml"
        try:
            params = read_yaml(file)
        except FileNotFoundError:
            raise LeukoError(f"{file} is not there: {REMEDY}") from None
        lacking = [name for name in SECTIONS if not isinstance(params, dict) or not isinstance(params.get(name), dict)]
        if lacking:
            raise LeukoError(f"{file} lacks {', '.join(lacking)}, so it is incomplete: {REMEDY}")
        return dict(params)

    @property
    def protocols(self) -> list[str]:
        """The protocols with verdicts, in the order of the page."""
        return re.findall(r'aria-label="Differences between \w+, (\w+)"', self.page)

    @property
    def margin(self) -> float:
        """The difference that matters."""
        return self._number("study", "margin") if "margin" in self.params["study"] else MARGIN

    @property
    def degradation(self) -> str:
        """`×2, noise 10`: what was done to its originals, in words."""
        scale = self._setting("image", "scale")
        if "noise_sigma" in self.params["degrade"]:
            return f"×{scale}, noise {self._number('degrade', 'noise_sigma'):g}"
        return f"×{scale}, {str(self._setting('degrade', 'method')).replace('_', ' ')}"

    @property
    def of_sr(self) -> set[str]:
        """What the page calls the experiments on images that SR made; parameters of old editions do not say."""
        labels = {name: label for each in self.protocols for name, label in self.labels(each).items()}
        try:
            made = sr_experiments(parse_params(self.params, f"{self.folder}/params.yaml"))
        except LeukoError:
            made = set(labels) - set(PLAIN)
        return {label for name, label in labels.items() if name in made}

    @property
    def badge(self) -> str:
        """What today's pages say of its budget."""
        about = self.record("about.json")
        name, note = about.get("budget"), about.get("budget_note")
        if not isinstance(name, str) or not isinstance(note, str):
            raise LeukoError(f"{self.folder / 'about.json'} lacks budget or budget_note: {REMEDY}")
        return budget_words(name, note)

    def labels(self, protocol: str) -> dict[str, str]:
        """What the page calls each experiment, in the order of summary.json."""
        names = self._scores(protocol)
        table = TABLE.format(rf"Comparison of the \w+, {re.escape(shown_name(protocol))}")
        found = re.search(table, self.page, re.DOTALL)
        rows = re.findall(r'<tr><th scope="row">(.*?)</th>', found[0] if found else "")
        if len(rows) != len(names):
            shown = f"{self.folder}: index.html shows {len(rows)} experiments, summary.json has {len(names)}"
            raise LeukoError(f"{shown}: {REMEDY}")
        return {name: html.unescape(row) for name, row in zip(names, rows, strict=True)}

    def classifier(self, experiment: str) -> str:
        """The kind of classifier of an experiment, in words."""
        recipe = ("classify", experiment, "classifier")
        if self._setting(*recipe, "frozen") == "backbone":
            return "frozen backbone" if self._setting(*recipe, "head", "hidden") else "linear probe"
        weights = self._setting(*recipe, "weights")
        return "classifier from random weights" if weights == "none" else "fine-tuned classifier"

    def record(self, name: str) -> dict[str, Any]:
        """One of its JSON files, by its path in the folder. Raises LeukoError where it is missing or damaged."""
        try:
            content = json.loads(self._text(name))
        except json.JSONDecodeError as error:
            raise LeukoError(f"{self.folder / name} is not valid JSON ({error}): {REMEDY}") from None
        if not isinstance(content, dict):
            raise LeukoError(f"{self.folder / name} is not a JSON object: {REMEDY}")
        return content

    def predictions(self, protocol: str) -> dict[str, Predictions]:
        """What the classifiers of each experiment said."""
        return {name: self.said(name, protocol) for name in self.labels(protocol)}

    def said(self, name: str, protocol: str) -> Predictions:
        """What the classifiers of one experiment said. Raises LeukoError for a table that is not the published one."""
        table = self.table(name, protocol)
        if not table.is_file():
            raise LeukoError(f"{table} is not there: {REMEDY}")
        found = read_predictions(table, name)
        runs, published = found.accuracies, self._scores(protocol).get(name)
        there = {"n_runs": len(runs), "n_test": found.table["image"].nunique(), "accuracy": float(runs.mean())}
        for key, value in there.items():
            score = published.get(key) if isinstance(published, dict) else None
            if not isinstance(score, int | float):
                raise LeukoError(f"{self.folder / 'summary.json'} has no {key} of {name}: {REMEDY}")
            if not abs(value - score) <= SAME_SCORE:  # NaN is no score either
                raise LeukoError(
                    f"{table} is not the table that was published: its {key} is {value:.6g}, in summary.json it is "
                    f"{score:.6g}: {REMEDY}"
                )
        return found

    def table(self, name: str, protocol: str) -> Path:
        """The predictions of an experiment; what was declared before its run may lie beside them."""
        suffix = f"_{protocol}" if len(self.protocols) > 1 else ""
        return self.folder / "plots" / "confusion" / f"{name}{suffix}.csv"

    def origin(self, name: str, protocol: str) -> Origin | None:
        """What was declared before an experiment ran; None where the study declares nothing."""
        if not self.params.get("claims"):
            return None
        table = self.table(name, protocol)
        beside = table.with_name(f"{table.stem}.{SIDECAR}")
        if not beside.is_file():
            raise LeukoError(f"{self.folder} declares claims, but {beside} is not there: {REMEDY}")
        try:
            return read_sidecar(table)
        except DamagedClaims as error:
            raise LeukoError(f"{error.problem}: {REMEDY}") from None

    @property
    def budget_note(self) -> str:
        """What its budget says of itself, else the budget's name."""
        budget = self.params.get("budget")
        note = budget.get("note") if isinstance(budget, dict) else None
        return str(note or self.budget)

    @property
    def budget(self) -> str:
        """The name of its budget."""
        return str(self._setting("budget", "name"))

    def _setting(self, *keys: str) -> Any:
        """A parameter by its path of keys. Raises LeukoError where it is lacking."""
        found: Any = self.params
        for key in keys:
            if not isinstance(found, dict) or key not in found:
                raise LeukoError(f"{self.folder / 'params.yaml'} lacks {'.'.join(keys)}, so it is incomplete: {REMEDY}")
            found = found[key]
        return found

    def _number(self, *keys: str) -> float:
        """A parameter that is a number."""
        value = self._setting(*keys)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise LeukoError(f"{self.folder / 'params.yaml'}: {'.'.join(keys)} = {value!r} is no number: {REMEDY}")
        return float(value)

    def _scores(self, protocol: str) -> dict[str, Any]:
        """The scores of each experiment as they were published."""
        summary = self.record("summary.json")
        names = summary.get(protocol, summary)
        if not isinstance(names, dict):
            raise LeukoError(f"{self.folder / 'summary.json'} names no experiments under {protocol}: {REMEDY}")
        return names

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise LeukoError(f"{self.folder / name} is not there: {REMEDY}") from None
        except UnicodeDecodeError:
            raise LeukoError(f"{self.folder / name} is not UTF-8 text: {REMEDY}") from None


def with_verdicts(results: Path) -> list[Path]:
    """The snapshots below a folder whose pages show verdicts: a study may compare nothing."""
    classified = {path.parents[2] for path in results.glob("*/plots/confusion/*.csv")}
    return sorted(each for each in classified if (each / "index.html").is_file() and Snapshot(each).protocols)
