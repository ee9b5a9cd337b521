"""Dose and response: what SR adds at each resolution and noise level, from the published results of several runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from shutil import copyfile
from typing import Any

import pandas as pd

from leukosr.data.splits import named_protocols
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Pair, pair
from leukosr.evaluate.arms.predictions import Predictions, read_predictions
from leukosr.evaluate.arms.significance import Comparison, Verdict, compare
from leukosr.evaluate.arms.two_way import METRICS, Metric, scored
from leukosr.files import new_file, new_folder
from leukosr.quoting import listed, require_folder
from leukosr.report.comparisons import HEADS, NAMES, row
from leukosr.report.content import Figure
from leukosr.report.dose_figure import dose_figure
from leukosr.report.pictures import data_uri
from leukosr.report.pieces import difference, how_made, without
from leukosr.report.snapshot import Snapshot
from leukosr.report.style import budget_words, size_text
from leukosr.report.template import template

SURELY: Verdict = "clearly better"
BETTER: tuple[Verdict, ...] = ("better", SURELY)
ONE_NETWORK = "There is one SR network at each dose, so this is about these networks, not about their method."
OTHERWISE = "{} and {} differ in {}, not in the dose alone: make one of them again"
WORSE: tuple[Verdict, ...] = ("clearly worse", "worse")
KEYS = {  # what the page needs of params.yaml
    "study": ("title", "protocol", "primary", "margin", "seeds", "sr_seeds"),
    "prepare": ("root",), "degrade": ("method",), "image": ("height", "width", "scale"), "budget": ("name",),
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Dose:
    """What is done to the originals: noise in grey levels, and the size (height, width) of the LR images."""

    noise: float
    lr: tuple[int, int]


@dataclass(frozen=True)
class Response:
    """One experiment against the baseline at one dose; scores are means over runs, fractions."""

    dose: Dose
    name: str
    baseline_score: float
    score: float
    found: Comparison


def write_dose_response(
    folder: Path, results: Sequence[Path], baseline: str = "bicubic", bound: str = "ground_truth"
) -> tuple[Path, list[str]]:
    """Write index.html, dose_response.csv, dose_response.png and doses/ of published results to `folder`.

    Every other experiment of each with the same classifier is compared with `baseline`; all comparisons are one family
    for Holm's correction. doses/ holds the labels that were compared and the parameters of each result, enough to write
    the same page from.
    `bound` is the experiment on originals, which is what SR could win. Returns the page and its sentences. Raises
    LeukoError for fewer than two results, two of one dose, and results that differ in more than the dose.
    """
    params = {path: _params(path) for path in results}
    doses = {path: _dose(path, each) for path, each in params.items()}
    _refuse_unlike(params, doses, baseline, bound)
    any_of_them = next(iter(params.values()))
    study, budget = any_of_them["study"], any_of_them["budget"]
    words = budget_words(budget["name"], budget.get("note", ""))
    metric = next(each for each in METRICS if each == study["primary"])
    arms = {path: _predictions(path, each, baseline) for path, each in params.items()}
    responses = _responses(arms, doses, metric, float(study["margin"]))
    names = [name for name in dict.fromkeys(each.name for each in responses) if name != bound]
    titles = _titles(any_of_them, {baseline, *(each.name for each in responses)})
    sentences = [sentence for name in names for sentence in _sentences(name, titles, baseline, responses)]
    sentences += _left_out(params, baseline)
    if study["sr_seeds"] is None:
        sentences.append(ONE_NETWORK)
    with new_file(folder / "dose_response.csv") as path:
        pd.DataFrame(map(_record, responses)).to_csv(path, index=False, lineterminator="\n")
    dose_figure(folder / "dose_response.png", responses, titles, baseline, bound, words)
    rows = [[f"{_words(each)}, {titles[each.name]} – {titles[baseline]}", *row(each.found)] for each in responses]
    alt = f"{NAMES[metric]} against resolution, and the difference from {titles[baseline]}, by noise level"
    picture = Figure(data_uri(folder / "dose_response.png", False), alt)
    page = template("dose_response.html.j2").render(
        title=study["title"],
        budget=words,
        sentences=sentences,
        figure=picture,
        head=("dose", *HEADS),
        rows=rows,
        results=[path.name for path in results],
    )
    with new_file(folder / "index.html") as path:
        path.write_text(page, encoding="utf-8")
    _keep_what_was_compared(folder / "doses", arms)
    return folder / "index.html", sentences


def _titles(params: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """How the page calls each experiment."""
    looks = params.get("report", {}).get("looks", {})
    return {name: looks.get(name, {}).get("title") or name.replace("_", " ") for name in names}


def _predictions(result: Path, params: Mapping[str, Any], baseline: str) -> list[Predictions]:
    """What the baseline said, then what every experiment with its classifier said."""
    names = [baseline, *_alike(params, baseline)]
    return [read_predictions(result / f"plots/confusion/{name}.csv", name) for name in names]


def _keep_what_was_compared(folder: Path, arms: Mapping[Path, Sequence[Predictions]]) -> None:
    """Write params.yaml, about.json and plots/confusion/NAME.csv, its probabilities left empty, of each result."""
    with new_folder(folder) as temporary:
        for result, predictions in arms.items():
            kept = temporary / result.resolve().name / "plots/confusion"
            kept.mkdir(parents=True)
            for name in ("params.yaml", "about.json"):  # results put together by hand may lack the latter
                if (result / name).is_file():
                    copyfile(result / name, kept.parents[1] / name)
            for each in predictions:
                classes = {f"p_{name}": "" for name in each.classes}  # the head says which there are
                each.table.assign(**classes).to_csv(kept / f"{each.name}.csv", index=False, lineterminator="\n")


def _params(result: Path) -> Mapping[str, Any]:
    require_folder(result, "name a folder that `leukosr publish` wrote")
    if not (result / "params.yaml").is_file() or not (result / "plots/confusion").is_dir():
        raise LeukoError(
            f"{result} holds no params.yaml and plots/confusion: name a folder that `leukosr publish` wrote"
        )
    params = Snapshot(result).params
    for section, keys in KEYS.items():
        if missing := [key for key in keys if key not in (params.get(section) or {})]:
            raise LeukoError(
                f"{result} is of an older version (params.yaml has no {section}.{missing[0]}): run the study again"
            )
    if len(protocols := named_protocols(params["study"]["protocol"])) > 1:
        raise LeukoError(f"{result} is of several protocols ({', '.join(protocols)}): name results of one protocol")
    if params["study"]["primary"] not in METRICS:
        raise LeukoError(
            f"{result / 'params.yaml'}: study.primary = {params['study']['primary']!r}, expected {' or '.join(METRICS)}"
        )
    return params


def _dose(result: Path, params: Mapping[str, Any]) -> Dose:
    image, degrade = params["image"], params["degrade"]
    if "noise_sigma" not in degrade:
        raise LeukoError(
            f"{result}: degrade.method is {degrade['method']}, whose noise has no single level (noise_sigma)"
        )
    return Dose(float(degrade["noise_sigma"]), (image["height"] // image["scale"], image["width"] // image["scale"]))


def _refuse_unlike(
    params: Mapping[Path, Mapping[str, Any]], doses: Mapping[Path, Dose], baseline: str, bound: str
) -> None:
    if len(set(doses.values())) < max(len(doses), 2):
        raise LeukoError(
            "name two results or more of different doses (image.scale, degrade.noise_sigma), got "
            f"{listed([path.name for path in doses]) if doses else 'none'}"
        )
    if len({path.resolve().name for path in doses}) < len(doses):
        raise LeukoError(f"two of the results have one name: {listed([str(path) for path in doses])}; rename one")
    (first, kept), *others = ((path, dict(_beside_the_dose(each, baseline))) for path, each in params.items())
    for path, each in params.items():
        if missing := [name for name in (baseline, bound) if name not in each["classify"]]:
            raise LeukoError(f"{path} has no experiment {missing[0]}: it has {', '.join(each['classify'])}")
        if bound not in _alike(each, baseline):
            raise LeukoError(
                f"{path}: {bound} and {baseline} have different classifiers, so their difference is not that of the "
                "images alone: name two experiments with one classifier"
            )
    for path, each in others:
        if differing := [key for key in kept if kept[key] != each[key]]:
            raise LeukoError(OTHERWISE.format(path, first, differing[0]))
    for one, other in combinations(params, 2):
        if key := next(_made_otherwise(params[one], params[other], baseline), None):
            raise LeukoError(OTHERWISE.format(other, one, key))


def _made_otherwise(one: Mapping[str, Any], other: Mapping[str, Any], baseline: str) -> Iterator[str]:
    """The settings, but for the scale, in which the images of an experiment that both have were made otherwise."""
    names = {baseline, *_alike(one, baseline)} & {baseline, *_alike(other, baseline)}
    for name in (each for each in one["classify"] if each in names):
        if key := difference(_made(one, name), _made(other, name), whole=False):
            yield key


def _made(params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    made = how_made(params, name)
    return {**made, "upscale": {arm: without(own, {"scale"}) for arm, own in made["upscale"].items()}}


def _beside_the_dose(params: Mapping[str, Any], baseline: str) -> Iterator[tuple[str, Any]]:
    """What must be the same at every dose, by its key in params.yaml."""
    yield from (
        (f"study.{key}", params["study"][key]) for key in ("protocol", "primary", "margin", "seeds", "sr_seeds")
    )
    yield "budget.name", params["budget"]["name"]
    yield "prepare", params["prepare"]
    yield "degrade", {key: value for key, value in params["degrade"].items() if key != "noise_sigma"}
    yield "image", {key: value for key, value in params["image"].items() if key != "scale"}
    yield f"classify.{baseline}.classifier", params["classify"].get(baseline, {}).get("classifier")


def _alike(params: Mapping[str, Any], baseline: str) -> list[str]:
    """The other experiments with the classifier of the baseline."""
    recipe = params["classify"][baseline].get("classifier")
    return [name for name, each in params["classify"].items() if name != baseline and each.get("classifier") == recipe]


def _left_out(params: Mapping[Path, Mapping[str, Any]], baseline: str) -> list[str]:
    names = [name for each in params.values() for name in each["classify"] if name not in _alike(each, baseline)]
    others = [name for name in dict.fromkeys(names) if name != baseline]
    return [f"Left out, as their classifier is not that of {baseline}: {', '.join(others)}."] if others else []


def _responses(
    arms: Mapping[Path, Sequence[Predictions]], doses: Mapping[Path, Dose], metric: Metric, margin: float
) -> list[Response]:
    asked: list[tuple[Dose, str, Pair]] = []
    for path in sorted(arms, key=doses.__getitem__):
        first, *others = arms[path]
        asked += [(doses[path], each.name, pair(each, first)) for each in others]
    found = [each for each in compare([pairs for *_, pairs in asked], metric, margin) if each.metric == metric]
    return [
        Response(dose, name, _mean(pairs.second, metric), _mean(pairs.first, metric), each)
        for (dose, name, pairs), each in zip(asked, found, strict=True)
    ]


def _mean(counts: Any, metric: Metric) -> float:
    return float(scored(counts, metric)[0].mean())


def _record(each: Response) -> dict[str, Any]:
    found = each.found
    return {
        "noise_sigma": each.dose.noise, "lr_height": each.dose.lr[0], "lr_width": each.dose.lr[1],
        "experiment": each.name, "baseline": found.b, "metric": found.metric, "score": each.score,
        "baseline_score": each.baseline_score, "difference": found.difference, "ci_low": found.ci_low,
        "ci_high": found.ci_high, "margin": found.margin, "p_holm": found.p_holm, "verdict": found.verdict,
        "runs": found.runs, "images": found.images,
    }  # fmt: skip


def _sentences(name: str, titles: Mapping[str, str], baseline: str, responses: Sequence[Response]) -> Iterator[str]:
    """At each noise level: the resolution at which an experiment begins to pay, or that none was found."""
    own, other = [each for each in responses if each.name == name], titles[baseline]
    for noise in sorted({each.dose.noise for each in own}):
        level = sorted((each for each in own if each.dose.noise == noise), key=lambda each: each.dose.lr, reverse=True)
        margin = f"the margin of {100 * level[0].found.margin:g} points"
        paying = _judged(level, SURELY)
        gaining = _judged(level, *BETTER)
        if paying:
            said = [
                f"begins to pay at LR {size_text(*paying[0].dose.lr)}: it is better than {other} by more than "
                f"{margin} there{_also(paying[1:])}"
            ]
        elif gaining:
            said = [
                f"is better than {other} at LR {_sizes(gaining)}, but at no resolution was it shown to pay more "
                f"than {margin}"
            ]
        else:
            said = [f"was not shown to be better than {other} at any resolution"]
        said += [f"it is {word} at LR {_sizes(at)}" for word in WORSE if (at := _judged(level, word))]
        if not gaining and (below := _judged(level, "equivalent", "no gain")):
            said.append(f"a gain of {margin} is excluded at LR {_sizes(below)}")
        if not gaining and (unclear := _judged(level, "inconclusive")):
            said.append(f"LR {_sizes(unclear)} {'is' if len(unclear) == 1 else 'are'} inconclusive")
        yield f"Noise {noise:g}: {titles[name]} {'; '.join(said)}."


def _judged(responses: Sequence[Response], *words: Verdict) -> list[Response]:
    return [each for each in responses if each.found.verdict in words]


def _sizes(responses: Sequence[Response]) -> str:
    return ", ".join(size_text(*each.dose.lr) for each in responses)


def _also(others: Sequence[Response]) -> str:
    return f", and at {_sizes(others)}" if others else ""


def _words(each: Response) -> str:
    return f"noise {each.dose.noise:g}, LR {size_text(*each.dose.lr)}"
