"""Figures that papers printed, as typed facts beside which a study's own figures may stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike

from leukosr.config import Image
from leukosr.errors import LeukoError

PRINTED, OURS = "printed", "this study"  # whose figures a row or bar shows


@dataclass(frozen=True)
class PublishedArm:
    """What was printed for one arm: PSNR in dB, SSIM in 0..1, the rest in percent; None where nothing was."""

    psnr: float | None = None
    ssim: float | None = None
    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


@dataclass(frozen=True)
class PublishedStudy:
    """One published study; sizes are (height, width) in pixels, facts are sentences on how to read its figures."""

    key: str
    source: str
    high: tuple[int, int]
    low: tuple[int, int]
    classifies: bool
    arms: Mapping[str, PublishedArm]
    facts: tuple[str, ...]

    def label(self, image: Image) -> str:
        """Head of the published columns, which says why they are not this study's yardstick.

        The budget is always called another: training details that the report leaves out differ even where the
        hyper-parameters it prints are kept.
        """
        same_sizes = (image.height, image.width) == self.high
        if not self.classifies:
            return "published, other data"
        return "published, other budget" if same_sizes else "published, other sizes and budget"


@dataclass(frozen=True)
class PublishedConfusions:
    """The confusion matrices that a study printed, by the names of our experiments; rows are true classes."""

    source: str
    classes: tuple[str, ...]
    counts: Mapping[str, np.ndarray]
    facts: tuple[str, ...]


@dataclass(frozen=True)
class PublishedNetwork:
    """What was printed for one classification network, in training, validation and test: accuracy in percent, loss."""

    accuracy: tuple[float, float, float]
    loss: tuple[float, float, float]


@dataclass(frozen=True)
class PublishedNetworks:
    """Scores of networks that a study printed, by the names of our experiments; `per_class` are those of one of them.

    The values of `per_class` are precision, recall and F1 as fractions, and the number of test images.
    """

    source: str
    networks: Mapping[str, PublishedNetwork]
    per_class_of: str
    per_class: Mapping[str, tuple[float, float, float, int]]
    facts: tuple[str, ...]


def published_networks(key: str | None) -> PublishedNetworks | None:
    """The scores by network of the published study `key`; None where it printed none."""
    entry = published_facts()[key] if key else {}
    if "networks" not in entry:
        return None
    networks = {
        name: PublishedNetwork(tuple(each["accuracy"]), tuple(each["loss"])) for name, each in entry["networks"].items()
    }
    classes = {name: tuple(each) for name, each in entry["per_class"].items()}
    return PublishedNetworks(entry["source"], networks, entry["per_class_of"], classes, tuple(entry["facts"]))


def published_confusions(key: str | None) -> PublishedConfusions | None:
    """The confusion matrices of the published study `key`; None where it printed none."""
    entry = published_facts()[key] if key else {}
    if "class_order" not in entry:
        return None
    counts = {ours: np.array(entry[f"confusion_{printed}"]) for printed, ours in entry["experiments"].items()}
    return PublishedConfusions(entry["source"], tuple(entry["class_order"]), counts, tuple(entry["facts"]))


def published_figures(key: str | None) -> PublishedStudy | None:
    """The published study `key` of published.yaml; None when `key` is None, or the study has no figures by arm.

    Raises LeukoError for an unknown key.
    """
    if key is None:
        return None
    facts = published_facts()
    if not isinstance(facts.get(key), dict):
        known = [name for name, entry in facts.items() if isinstance(entry, dict) and "source" in entry]
        raise LeukoError(f"study.published = '{key}': no such published study; known are {', '.join(known)}")
    entry = facts[key]
    if "super_resolution" not in entry:
        return None
    quality, classified = entry["super_resolution"], entry.get("classification", {})
    arms = {arm: PublishedArm(**quality.get(arm, {}), **classified.get(arm, {})) for arm in {**quality, **classified}}
    high, low = (tuple(entry["sizes"][name]) for name in ("high", "low"))
    return PublishedStudy(key, entry["source"], high, low, bool(classified), arms, tuple(entry["facts"]))


def percentile(value: float, of: ArrayLike) -> float:
    """Percent of the values that lie below `value`, with half of those that equal it."""
    found = np.asarray(of)
    return float(100 * (np.mean(found < value) + np.mean(found == value) / 2))


@cache
def published_facts() -> dict[str, Any]:
    """All of published.yaml, parsed."""
    return dict(yaml.safe_load(files(__package__).joinpath("published.yaml").read_text(encoding="utf-8")))
