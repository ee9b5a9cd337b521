"""What may be said of a study: which experiment is better, and how many test images share a source with training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from leukosr.config import Generated, Params
from leukosr.data.manifest import CLASSIFIER_ROLES, FOLD, SR_ROLES
from leukosr.data.provenance.facts import Shared
from leukosr.evaluate.arms.predictions import Predictions, pair
from leukosr.evaluate.arms.sample_size import SampleSize, sample_size
from leukosr.evaluate.arms.significance import Comparison, compare
from leukosr.report.comparisons import NAMES, difference_text, p_text
from leukosr.report.results import StudyResults


@dataclass(frozen=True)
class Verdicts:
    """The comparisons that a study names under one protocol, and what the test set is worth in each experiment."""

    comparisons: tuple[Comparison, ...]
    sizes: tuple[SampleSize, ...]


def study_pairs(params: Params) -> list[tuple[str, str]]:
    """The pairs of experiments that the study compares: those that it names, or its default.

    By default each experiment on images that a network made is compared with each one on other low-resolution images
    that has the same classifier.
    """
    if params.study.comparisons is not None:
        return list(params.study.comparisons)
    tested = {name: params.upscale[each.test] for name, each in params.classify.items()}
    generated = [name for name, arm in tested.items() if isinstance(arm, Generated)]
    plain = [name for name, arm in tested.items() if arm.made_from == "low" and name not in generated]
    recipes = {name: each.classifier for name, each in params.classify.items()}
    return [(first, second) for first in generated for second in plain if recipes[first] == recipes[second]]


def judge(params: Params, results: StudyResults) -> Verdicts:
    """Compare the experiments of a study on their common test images and seeds, where both run under the protocol."""
    said = {name: predictions_of(results, name) for name in results.experiments}
    pairs = [pair(said[a], said[b]) for a, b in study_pairs(params) if a in said and b in said]
    return Verdicts(tuple(compare(pairs, params.study.primary)), tuple(map(sample_size, said.values())))


def predictions_of(results: StudyResults, name: str) -> Predictions:
    """What the classifiers of an experiment said, as the comparisons read it."""
    table = results.experiments[name].predictions
    if "source" not in table:
        table = table.assign(source="")
    table = table.assign(seed=table["seed"].astype(int))[["image", "source", "seed", "true", "predicted"]]
    return Predictions(name, table, results.classes)


def verdict_rows(found: Sequence[Comparison], results: StudyResults) -> list[list[str]]:
    """A row a comparison and metric, the primary one first."""
    return [
        [
            f"{results.experiments[each.a].look.label} – {results.experiments[each.b].look.label}",
            NAMES[each.metric] + (" (primary)" if each.primary else ""),
            each.verdict,
            difference_text(each),
            f"{each.p_improvement:.2f}",
            p_text(each.p_value),
            p_text(each.p_holm),
            p_text(each.p_source),
        ]
        for each in sorted(found, key=lambda each: not each.primary)
    ]


def leakage(manifest: pd.DataFrame, protocol: str, sr_protocol: str) -> list[str]:
    """How many test images share a source with the classifier's or with SR's training images, in plain words.

    Empty where a test image has no known source. `manifest` has the columns of manifest.csv.
    """
    role, sr_role = manifest[f"role_{protocol}"], manifest[f"role_{sr_protocol}"]
    in_fold = role.str.startswith(FOLD)
    test = manifest[in_fold | (role == "classifier_test")]
    if test.empty or (test["source"] == "").any():
        return []
    sentences = []
    known = manifest[manifest["source"] != ""]
    folds = known[in_fold[known.index]].groupby("source")[f"role_{protocol}"].nunique()
    trained = set(known["source"][role.isin(CLASSIFIER_ROLES[:2])]) | set(folds.index[folds > 1])
    for name, sources in (
        ("the classifiers' training", trained),
        ("SR training", set(known["source"][sr_role.isin(SR_ROLES)])),
    ):
        sentence = Shared("test", name, int(test["source"].isin(sources).sum()), len(test)).sentence
        sentences.append(sentence if protocol == "paper" else f"{sentence} The split forbids it, by the sources known.")
    return sentences
