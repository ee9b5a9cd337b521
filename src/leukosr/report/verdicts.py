"""What may be said of a study: which experiment is better, and how many test images share a source with training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from leukosr.config import Generated, Params, Recoloured
from leukosr.data.manifest import CLASSIFIER_ROLES, FOLD, SR_ROLES, Row, is_tested, with_role
from leukosr.data.provenance.facts import Shared
from leukosr.data.splits import SPLITS
from leukosr.evaluate.arms.declared import compare_declared
from leukosr.evaluate.arms.pairs import Pair, pair
from leukosr.evaluate.arms.predictions import COLUMNS, OPTIONAL, Predictions, run_columns
from leukosr.evaluate.arms.sample_size import SampleSize, sample_size
from leukosr.evaluate.arms.significance import Comparison, compare
from leukosr.evaluate.arms.two_way import METRICS
from leukosr.report import comparisons
from leukosr.report.content import VerdictPart
from leukosr.report.results import StudyResults


@dataclass(frozen=True)
class Verdicts:
    """The comparisons that a study names under one protocol, and what the test set is worth in each experiment."""

    comparisons: tuple[Comparison, ...]
    sizes: tuple[SampleSize, ...]


def study_pairs(params: Params) -> list[tuple[str, str]]:
    """The pairs of experiments that the study compares: those that it declares or names, or its default.

    By default each experiment on images that a network made is compared with each one on other low-resolution images
    that has the same classifier, and a protocol and a seed in common with it.
    """
    declared = [] if params.claims is None else [(claim.first, claim.second) for claim in params.claims.family]
    if params.study.comparisons is not None:
        return without_repeats([*declared, *params.study.comparisons])
    tested = {name: params.source_arm(each.test) for name, each in params.classify.items()}
    generated = [name for name, arm in tested.items() if isinstance(arm, Generated)]
    plain = [name for name, arm in tested.items() if arm.made_from == "low" and name not in generated]
    recipes = {name: each.classifier for name, each in params.classify.items()}
    default = [
        (first, second)
        for first in generated
        for second in plain
        if recipes[first] == recipes[second] and params.comparable(first, second)
    ]
    return without_repeats([*declared, *default])


def without_repeats(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each two experiments once, in the order in which they are named first."""
    found: dict[frozenset[str], tuple[str, str]] = {}
    for each in pairs:
        found.setdefault(frozenset(each), each)
    return list(found.values())


def judge(params: Params, everything: Sequence[StudyResults]) -> list[Verdicts]:
    """Compare the experiments of a study under each protocol on their common test images and seeds."""
    said = [{name: predictions_of(each, name) for name in each.experiments} for each in everything]
    asked = [(i, a, b) for i, arms in enumerate(said) for a, b in study_pairs(params) if a in arms and b in arms]
    pairs = [pair(said[i][a], said[i][b]) for i, a, b in asked]
    protocols = [everything[i].protocol for i, _, _ in asked]
    judged = compare_in_families(params, pairs, [(a, b) for _, a, b in asked], protocols)
    owners = [i for i, _, _ in asked] * len(METRICS)
    found = [[each for each, i in zip(judged, owners, strict=True) if i == own] for own in range(len(said))]
    return [Verdicts(tuple(own), tuple(map(sample_size, arms.values()))) for own, arms in zip(found, said, strict=True)]


def compare_in_families(
    params: Params, pairs: Sequence[Pair], names: Sequence[tuple[str, str]], protocols: Sequence[str]
) -> list[Comparison]:
    """Compare pairs of experiments, each under its protocol; by metric, in the order of the pairs.

    The pairs of a protocol are a family; where the study declares claims, those of all protocols are one.
    """
    metric, margin = params.study.primary, params.study.margin
    if params.claims is not None:
        places = [params.claims.index(a, b, own) for (a, b), own in zip(names, protocols, strict=True)]
        return compare_declared(pairs, places, params.claims, metric, margin)
    found: dict[tuple[str, int], Comparison] = {}
    for protocol in dict.fromkeys(protocols):
        family = [i for i, own in enumerate(protocols) if own == protocol]
        compared = compare([pairs[i] for i in family], metric, margin)
        found |= dict(zip(product(METRICS, family), compared, strict=True))
    return [found[key] for key in product(METRICS, range(len(pairs)))]


def predictions_of(results: StudyResults, name: str) -> Predictions:
    """What the classifiers of an experiment said, as the comparisons read it."""
    table = results.experiments[name].predictions
    if "source" not in table:
        table = table.assign(source="")
    table = table.assign(**{name: table[name].astype(int) for name in run_columns(table)})
    table = table[[name for name in (*COLUMNS, *OPTIONAL) if name in table]]
    return Predictions(name, table, results.classes)


def labels_of(results: StudyResults) -> dict[str, str]:
    """What the page calls each experiment."""
    return {name: each.look.label for name, each in results.experiments.items()}


def verdict_part(protocol: str, found: Verdicts, label: Mapping[str, str]) -> VerdictPart:
    """What the page says of the verdicts under one protocol."""
    compared = named(found.comparisons, label)
    return VerdictPart(
        name=protocol,
        head=list(comparisons.HEADS),
        rows=verdict_rows(compared),
        sentences=list(comparisons.sentences(compared)) if compared else [],
        conditional=conditional_rows(compared),
        unknown=next((comparisons.worth_sentence(size) for size in found.sizes if not size.known), ""),
        sizes=[comparisons.size_sentence(replace(size, name=label[size.name])) for size in found.sizes if size.known],
    )


def named(found: Sequence[Comparison], label: Mapping[str, str]) -> list[Comparison]:
    """The comparisons with the experiments called as on the page, the primary metric first."""
    renamed = [replace(each, a=label[each.a], b=label[each.b]) for each in found]
    return sorted(renamed, key=lambda each: not each.primary)


def verdict_rows(found: Sequence[Comparison]) -> list[list[str]]:
    """A row per comparison and metric."""
    return [[f"{each.a} – {each.b}", *comparisons.row(each)] for each in found]


def conditional_rows(found: Sequence[Comparison]) -> list[list[str]]:
    """A row per comparison and metric of the p values that decide nothing."""
    return [[f"{each.a} – {each.b}", *comparisons.conditional_row(each)] for each in found]


def leakage(rows: Sequence[Row], protocol: str, params: Params) -> list[str]:
    """How many test images share a source with the classifier's or with SR's training images, in plain words.

    Of the sources nothing is said where a test image has no known one, of SR's where no arm learns from its images.
    """
    study = params.study
    folds: dict[str, set[str]] = defaultdict(set)
    for each in rows:
        if each.role(protocol).startswith(FOLD):
            folds[each.source].add(each.role(protocol))
    test = [row for row in rows if is_tested(row, protocol)]
    sentences = []
    if SPLITS[protocol].leaks:
        seen = sum(row.plays(protocol, "classifier_train") for row in test)
        sentences.append(
            f"This protocol leaks by design: {seen} of the {len(test)} test images are training images of the "
            "classifiers. Its scores say what memory is worth, not what a method can do."
        )
    if not test or not all(row.source for row in test):
        return sentences
    trained = {row.source for row in with_role(rows, protocol, *CLASSIFIER_ROLES[:2])}
    trained |= {source for source, several in folds.items() if len(several) > 1}
    seen_by_sr = {row.source for row in with_role(rows, study.sr_protocol, *SR_ROLES)}
    trainings = {"the classifiers' training": trained} if study.classifies else {}
    if params.train_sr or any(isinstance(each, Recoloured) for each in params.upscale.values()):
        trainings["SR training"] = seen_by_sr
    for name, sources in trainings.items():
        sentence = Shared("test", name, sum(row.source in sources for row in test), len(test)).sentence
        claim = " The split forbids it, by the sources known." if SPLITS[protocol].disjoint else ""
        sentences.append(sentence + claim)
    return sentences
