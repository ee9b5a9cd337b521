"""Dose and response: what SR adds at each resolution and noise level, from the published results of several runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from shutil import copyfile
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Pair, pair
from leukosr.evaluate.arms.predictions import Predictions, read_predictions
from leukosr.evaluate.arms.significance import Comparison, compare
from leukosr.evaluate.arms.two_way import METRICS, Metric, scored
from leukosr.files import new_file, new_folder
from leukosr.quoting import listed, require_folder
from leukosr.report.comparisons import HEADS, NAMES, has_interval, row
from leukosr.report.content import Figure
from leukosr.report.pictures import data_uri
from leukosr.report.style import SEQUENCE, new_figure, size_text
from leukosr.report.template import template
from leukosr.yaml_file import read_yaml

BETTER, SURELY = ("better", "clearly better"), "clearly better"


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
    study = next(iter(params.values()))["study"]
    metric = next(each for each in METRICS if each == study["primary"])
    arms = {path: _predictions(path, each, baseline) for path, each in params.items()}
    responses = _responses(arms, doses, metric, float(study["margin"]))
    names = [name for name in dict.fromkeys(each.name for each in responses) if name != bound]
    sentences = [sentence for name in names for sentence in _sentences(name, baseline, responses)]
    sentences += _left_out(params, baseline)
    with new_file(folder / "dose_response.csv") as path:
        pd.DataFrame(map(_record, responses)).to_csv(path, index=False, lineterminator="\n")
    _figure(folder / "dose_response.png", responses, baseline, bound)
    rows = [[f"{_words(each)}, {each.name} – {baseline}", *row(each.found)] for each in responses]
    alt = f"{NAMES[metric]} against resolution, and the difference from {baseline}, by noise level"
    picture = Figure(data_uri(folder / "dose_response.png", False), alt)
    page = template("dose_response.html.j2").render(
        title=study["title"],
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


def _predictions(result: Path, params: Mapping[str, Any], baseline: str) -> list[Predictions]:
    """What the baseline said, then what every experiment with its classifier said."""
    names = [baseline, *_alike(params, baseline)]
    return [read_predictions(result / f"plots/confusion/{name}.csv", name) for name in names]


def _keep_what_was_compared(folder: Path, arms: Mapping[Path, Sequence[Predictions]]) -> None:
    """Write params.yaml and plots/confusion/NAME.csv, its probabilities left empty, of each result."""
    with new_folder(folder) as temporary:
        for result, predictions in arms.items():
            kept = temporary / result.resolve().name / "plots/confusion"
            kept.mkdir(parents=True)
            copyfile(result / "params.yaml", kept.parents[1] / "params.yaml")
            for each in predictions:
                classes = {f"p_{name}": "" for name in each.classes}  # the head says which there are
                each.table.assign(**classes).to_csv(kept / f"{each.name}.csv", index=False, lineterminator="\n")


def _params(result: Path) -> Mapping[str, Any]:
    require_folder(result, "name a folder that `leukosr publish` wrote")
    if not (result / "params.yaml").is_file() or not (result / "plots/confusion").is_dir():
        raise LeukoError(
            f"{result} holds no params.yaml and plots/confusion: name a folder that `leukosr publish` wrote"
        )
    params = dict(read_yaml(result / "params.yaml"))
    if missing := [key for key in ("primary", "margin", "sr_seeds") if key not in params["study"]]:
        raise LeukoError(
            f"{result} is of an older version (params.yaml has no study.{missing[0]}): run the study again"
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
            raise LeukoError(
                f"{path} and {first} differ in {differing[0]}, not in the dose alone: make one of them again"
            )


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


def _sentences(name: str, baseline: str, responses: Sequence[Response]) -> Iterator[str]:
    """At each noise level: the resolution at which an experiment begins to pay, or that none was found."""
    own = [each for each in responses if each.name == name]
    for noise in sorted({each.dose.noise for each in own}):
        level = sorted((each for each in own if each.dose.noise == noise), key=lambda each: each.dose.lr, reverse=True)
        margin = f"the margin of {100 * level[0].found.margin:g} points"
        paying = [each for each in level if each.found.verdict == SURELY]
        gaining = [each for each in level if each.found.verdict in BETTER]
        head = f"Noise {noise:g}: {name.replace('_', ' ')}"
        if paying:
            yield (
                f"{head} begins to pay at LR {size_text(*paying[0].dose.lr)}: it is better than {baseline} by more "
                f"than {margin} there{_also(paying[1:])}."
            )
        elif gaining:
            yield (
                f"{head} is better than {baseline} at LR {_sizes(gaining)}, but at no resolution was it shown to pay "
                f"more than {margin}."
            )
        else:
            below = [
                each for each in level if each.found.verdict in ("equivalent", "no gain", "worse", "clearly worse")
            ]
            open_ = [each for each in level if each.found.verdict == "inconclusive"]
            said = [f"a gain of {margin} is excluded at LR {_sizes(below)}"] if below else []
            said += [f"LR {_sizes(open_)} is inconclusive"] if open_ else []
            yield f"{head} was not shown to be better than {baseline} at any resolution: {'; '.join(said)}."


def _sizes(responses: Sequence[Response]) -> str:
    return ", ".join(size_text(*each.dose.lr) for each in responses)


def _also(others: Sequence[Response]) -> str:
    return f", and at {_sizes(others)}" if others else ""


def _words(each: Response) -> str:
    return f"noise {each.dose.noise:g}, LR {size_text(*each.dose.lr)}"


def _figure(path: Path, responses: Sequence[Response], baseline: str, bound: str) -> None:
    """Above, scores against the LR side, one panel per noise level; below, differences with 95 % intervals, if any."""
    noises = sorted({each.dose.noise for each in responses})
    names = list(dict.fromkeys(each.name for each in responses))
    others = [name for name in names if name != bound]
    colours = {baseline: SEQUENCE[4], bound: SEQUENCE[2]} | dict(
        zip(others, cycle((*SEQUENCE[1::-1], *SEQUENCE[3:])), strict=False)
    )
    metric = NAMES[responses[0].found.metric]
    note = f"means over runs, {responses[0].found.images} test images"
    note += "; bars: 95 % intervals over runs and sources" if any(has_interval(e.found) for e in responses) else ""
    with new_figure(path, 2.9 * len(noises) + 1.2, 5.2, note) as figure:
        panels = figure.subplots(2, len(noises), sharex=True, sharey="row", squeeze=False)
        for column, noise in enumerate(noises):
            own = [each for each in responses if each.dose.noise == noise]
            _scores(panels[0, column], own, baseline, colours)
            _differences(panels[1, column], own, colours)
            panels[0, column].set_title(f"noise {noise:g}")
            panels[1, column].set_xlabel("height of LR images, pixels")
        panels[0, 0].set_ylabel(f"{metric}, %")
        panels[1, 0].set_ylabel(f"difference from {baseline}, points")
        panels[0, -1].legend(loc="best")


def _scores(panel: Axes, responses: Sequence[Response], baseline: str, colours: Mapping[str, str]) -> None:
    lines = {name: [e for e in responses if e.name == name] for name in colours if name != baseline}
    first = next(each for each in lines.values() if each)
    panel.plot(*_points(first, [e.baseline_score for e in first]), color=colours[baseline], label=baseline, marker="o")
    for name, own in lines.items():
        label = name.replace("_", " ")
        panel.plot(*_points(own, [e.score for e in own]), color=colours[name], label=label, marker="o")
    panel.grid(True, axis="y")


def _differences(panel: Axes, responses: Sequence[Response], colours: Mapping[str, str]) -> None:
    margin = 100 * responses[0].found.margin
    panel.axhspan(-margin, margin, color="#EEEEEE", zorder=0)
    panel.axhline(0, color="#555555", linewidth=0.8)
    for name in dict.fromkeys(each.name for each in responses):
        own = [each for each in responses if each.name == name]
        panel.plot(*_points(own, [each.found.difference for each in own]), color=colours[name], marker="o")
        for each in own:
            if has_interval(each.found) and each.found.ci_low is not None and each.found.ci_high is not None:
                panel.vlines(each.dose.lr[0], 100 * each.found.ci_low, 100 * each.found.ci_high, color=colours[name])
    sides = sorted({each.dose.lr[0] for each in responses})
    panel.set_xscale("log", base=2)
    panel.set_xticks(sides, [str(side) for side in sides])
    panel.grid(True, axis="y")


def _points(responses: Sequence[Response], values: Sequence[float]) -> tuple[list[int], list[float]]:
    return [each.dose.lr[0] for each in responses], [100 * value for value in values]
