"""The cells of a page that a reader compares by eye: images of every arm, pixel for pixel, and the surest mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from leukosr.config import ByClass, Params
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.mistakes import Mistake, confident_mistakes, said_together
from leukosr.layout import image_file
from leukosr.quoting import counted
from leukosr.report.attention import DamagedWeights, attention_over
from leukosr.report.grids import RGB, cut, nucleus_box, read_arm, reduced
from leukosr.report.pictures import image_uri
from leukosr.report.results import StudyResults
from leukosr.report.sections import chosen_images, image_facts
from leukosr.report.style import arm_looks, size_text

FIRST = 12  # test images, first by name, of all classes in turn
DISPUTED = 12  # further ones, those that the arms' classifiers give the most different names
MISTAKES = 6  # of an experiment
MAP_PIXELS = 160  # longer side of an image with Grad-CAM over it, whose fields are large
LARGEST = 512  # pixels of an original's longer side; of a larger one the part around the nucleus is shown


@dataclass(frozen=True)
class Comparer:
    """What comparer.html.j2 shows; `data` is what report.js reads."""

    data: Mapping[str, Any]
    words: str
    classified: bool


@dataclass(frozen=True)
class MistakenCell:
    """A mistake: data URIs of the image and of the same with Grad-CAM over it (None: there is none), id and caption."""

    uri: str
    attention: str | None
    image: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """The surest mistakes of an experiment; `no_map` is why there is no Grad-CAM, empty where there is.

    damaged: that is a fault of a file, to be mended.
    """

    label: str
    cells: Sequence[MistakenCell]
    no_map: str
    damaged: bool = False

    @property
    def size(self) -> int:
        """Bytes of the data URIs."""
        return sum(len(each.uri) + len(each.attention or "") for each in self.cells)


def comparer(params: Params, results: StudyResults, room: int) -> Comparer | None:
    """As many cells as `room` bytes of data URIs hold; None where that is none, or there are no two arms."""
    looks, arms = arm_looks(params), [name for name, arm in params.upscale.items() if not isinstance(arm, ByClass)]
    if len(arms) < 2:
        return None
    testing = {each.arm: each.predictions for each in reversed(list(results.experiments.values()))}
    said = {arm: said_together(predictions, results.classes) for arm, predictions in testing.items()}
    facts = {arm: image_facts(results, arm) for arm in arms}
    cells: list[dict[str, Any]] = []
    sizes: dict[str, RGB] = {}
    chosen = _chosen(results, said)
    for image, true in chosen:
        read = _read_all(params, results, arms, image)
        shots = {
            arm: {
                "src": image_uri(pixels),
                "facts": facts[arm].get(image, ""),
                "said": str(said[arm]["said"][image]) if arm in said and image in said[arm].index else None,
            }
            for arm, pixels in read.items()
        }
        for shot in shots.values():
            shot["facts"] = ", ".join(filter(None, (shot["said"] and f"named {shot['said']}", shot["facts"])))
        room -= sum(len(str(shot["src"])) for shot in shots.values())
        if room < 0:
            break
        cells.append({"label": " – ".join(filter(None, (true, image.rsplit("/", 1)[-1]))), "shots": shots})
        sizes = read
    if not cells:
        return None
    shown = [{"name": arm, "label": f"{looks[arm].label}, {size_text(*sizes[arm].shape[:2])}"} for arm in arms]
    height, width = params.image.height, params.image.width
    data = {"arms": shown, "cells": cells, "start": _start(params, arms), "ratio": width / height}
    beyond = len(cells) > len(chosen_images(results, FIRST))
    group = "class" if results.experiments else "source"
    return Comparer(
        data, _words(params, f"the first of each {group} by name", len(cells), bool(said), beyond), bool(said)
    )


def _read_all(params: Params, results: StudyResults, arms: Sequence[str], image: str) -> dict[str, RGB]:
    """An image in every arm, of large ones the same part around the nucleus."""
    read = {arm: _read(params, results, arm, image) for arm in arms}
    share = LARGEST / max(params.image.height, params.image.width)
    if share >= 1:
        return read
    originals = [arm for arm in arms if params.upscale[arm].shows_originals(params.image)]
    smallest = min(read.values(), key=lambda pixels: pixels.shape[0])
    box = nucleus_box(read[(originals or arms[-1:])[0]], smallest.shape[:2], share)
    return {arm: cut(pixels, box) for arm, pixels in read.items()}


def _read(params: Params, results: StudyResults, arm: str, image: str) -> RGB:
    """An image of an arm; of several SR networks that of the first."""
    return read_arm(image_file(results.layout.arm(params.version(arm, params.study.networks[0])), image), arm)


def _chosen(results: StudyResults, said: Mapping[str, pd.DataFrame]) -> list[tuple[str, str]]:
    """The first test images by name, then those that get the most different names in the arms."""
    first = chosen_images(results, FIRST)
    if not said:
        return first
    names = pd.DataFrame({arm: table["said"] for arm, table in said.items()})
    different = names.nunique(axis=1)
    disputed = different[(different > 1) & ~different.index.isin([image for image, _ in first])]
    order = disputed.sort_index().sort_values(ascending=False, kind="stable").index[:DISPUTED]
    true = pd.concat([table["true"] for table in said.values()])
    true = true[~true.index.duplicated()]
    return first + [(str(image), str(true[image])) for image in order]


def _start(params: Params, arms: Sequence[str]) -> list[str]:
    """The arms that the page opens with: the first two that a network did not make, then did; else the first two."""
    low = [name for name in arms if params.upscale[name].made_from == "low"]
    made = [name for name in low if params.upscale[name].by in ("training", "file")]
    plain = [name for name in low if name not in made]
    return [plain[-1], made[-1]] if plain and made else list(arms[:2])


def _words(params: Params, first: str, count: int, classified: bool, beyond: bool) -> str:
    """What is shown; `first`: what comes first. `beyond`: cells follow about which the arms' classifiers disagree."""
    disputed = ", then those that the arms' classifiers disagree about most" if beyond else ""
    larger = max(params.image.height, params.image.width) > LARGEST
    part = f" Of each the part around the nucleus, {LARGEST} pixels of the original long, is shown." if larger else ""
    named = (
        " The name is that of the highest mean probability over the runs of the first experiment that tests on the arm."
        if classified
        else ""
    )
    return f"{counted(count, 'test image')}, pixel for pixel: {first}{disputed}.{part}{named}"


def galleries(params: Params, results: StudyResults) -> list[Gallery]:
    """The surest mistakes of every experiment on the images that it is tested on; none without wrong ones."""
    found = []
    for name, each in results.experiments.items():
        mistakes = confident_mistakes(each.predictions, results.classes, MISTAKES)
        if not mistakes:
            continue
        seen = {mistake.image: _read(params, results, each.arm, mistake.image) for mistake in mistakes}
        maps, no_map, damaged = dict[str, RGB](), "", False
        try:
            maps = attention_over(results, name, {each.image: (seen[each.image], each.said) for each in mistakes})
        except LeukoError as error:  # without weights, or with a transformer, the page is whole but for the maps
            no_map, damaged = str(error), isinstance(error, DamagedWeights)
        cells = [
            MistakenCell(
                image_uri(reduced(seen[mistake.image])),
                image_uri(reduced(maps[mistake.image], MAP_PIXELS)) if maps else None,
                mistake.image,
                _mistake_words(mistake),
            )
            for mistake in mistakes
        ]
        found.append(Gallery(each.look.label, cells, no_map, damaged))
    return found


def _mistake_words(mistake: Mistake) -> str:
    return (
        f"{mistake.true}, named {mistake.said} with {100 * mistake.confidence:.0f}\u00a0% "
        f"(wrong in {mistake.wrong} of {mistake.runs} runs)"
    )
