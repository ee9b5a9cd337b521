"""What the report says beside its verdicts: assay sensitivity, cells helped and harmed, probabilities, consistency."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from leukosr.config import Params, Resampled, Untouched
from leukosr.evaluate.arms.conflicts import conflicting_sources, without_sources
from leukosr.evaluate.arms.pairs import pair
from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.recovered import recovered_share
from leukosr.evaluate.arms.significance import Comparison, compare
from leukosr.quoting import counted
from leukosr.report.averages import average_blocks
from leukosr.report.block import Block, TableOfBlock, ratio_with_interval
from leukosr.report.cells import help_block, reliability_block
from leukosr.report.comparisons import HEADS, NAMES, difference_text, has_interval
from leukosr.report.confusions import confusion_blocks
from leukosr.report.extraction import extraction_blocks
from leukosr.report.networks import network_blocks
from leukosr.report.quality_blocks import quality_blocks
from leukosr.report.results import StudyResults
from leukosr.report.tables import mean_sd
from leukosr.report.verdicts import (
    compare_in_families,
    labels_of,
    named,
    predictions_of,
    study_pairs,
    verdict_rows,
    without_repeats,
)

SENSITIVE = ("better", "clearly better")
CANNOT = "This design cannot show an effect of SR"
UNDECIDED = "Whether this design could show an effect of SR is not known, as no verdict is possible"


def evidence(folder: Path, params: Params, results: StudyResults, note: str) -> list[Block]:
    """The subsections of one protocol; their figures are drawn into `folder`."""
    suffix = "" if results.protocol == params.study.protocols[0] else f"_{results.protocol}"
    blocks = []
    if results.experiments:
        blocks += confusion_blocks(folder, params, results, suffix, note)
        blocks += network_blocks(params.study.published, results)
        blocks += assay_blocks(params, results)
        pairs = [each for each in _pairs(params, results) if set(each) <= set(results.experiments)]
        if pairs:
            blocks.append(help_block(folder, results, pairs, suffix, note))
        blocks += conflict_blocks(params, results)
        blocks.append(reliability_block(folder, results, params.report.reliability_bins, suffix, note))
        blocks += extraction_blocks(folder, params, results, suffix, note)
    if results.arms and not results.experiments:
        blocks += average_blocks(params, results)
    if results.arms and not suffix:
        blocks += quality_blocks(folder, params, results, note)
        blocks.append(consistency_block(results))
    return blocks


def _pairs(params: Params, results: StudyResults) -> list[tuple[str, str]]:
    """The pairs that the study compares, and originals against bicubic."""
    return without_repeats([*study_pairs(params), *assay_pairs(params, results)])


def assay_pairs(params: Params, results: StudyResults) -> list[tuple[str, str]]:
    """The experiments on originals and on bicubic enlargements, alike but for their arm: a pair per classifier."""
    alone = {name: params.source_arm(params.classify[name].test) for name in _of_one_arm(params, results)}
    originals = [name for name, arm in alone.items() if isinstance(arm, Untouched) and arm.made_from == "original"]
    enlarged = [name for name, arm in alone.items() if isinstance(arm, Resampled) and arm.made_from == "low"]
    found: list[tuple[str, str]] = []
    for first in originals:
        for second in enlarged:
            known = any(_same_classifier(params, first, each) for each, _ in found)
            if not known and _same_classifier(params, first, second) and params.comparable(first, second):
                found.append((first, second))
    return found


def _of_one_arm(params: Params, results: StudyResults) -> list[str]:
    """The experiments that train and test on one arm."""
    return [name for name in results.experiments if len(params.classify[name].arms) == 1]


def _same_classifier(params: Params, first: str, second: str) -> bool:
    return params.classify[first].classifier == params.classify[second].classifier


def beside(params: Params, results: StudyResults, found: tuple[str, str]) -> list[str]:
    """The experiments on other low-resolution images that differ from a pair of `assay_pairs` in their arm alone."""
    return [
        name
        for name in _of_one_arm(params, results)
        if name not in found
        and params.source_arm(params.classify[name].test).made_from == "low"
        and _same_classifier(params, name, found[0])
        and set.intersection(*(set(params.seeds_of(each)) for each in (name, *found)))
    ]


def assay_blocks(params: Params, results: StudyResults) -> list[Block]:
    """Can this design show an effect at all, and where it can, how much of it does each arm recover?

    Empty where no experiment is tested on low-resolution images.
    """
    if all(params.source_arm(each.arm).made_from == "original" for each in results.experiments.values()):
        return []
    title, found = "Could this design show an effect of SR", assay_pairs(params, results)
    if not found:
        words = (
            "Nobody knows: the study has no pair of experiments on originals (by: nothing, from: original) and on "
            "bicubic enlargements (by: kernel) with one classifier. Add the arms ground_truth and bicubic."
        )
        return [Block(title, [words])]
    return [
        _assay_block(params, results, each, title if len(found) == 1 else f"{title} ({results.look(each[0]).label})")
        for each in found
    ]


def _assay_block(params: Params, results: StudyResults, found: tuple[str, str], title: str) -> Block:
    """One classifier's part: only experiments with this classifier have a share of what it loses."""
    originals, bicubic = (predictions_of(results, name) for name in found)
    names = [results.experiments[name].look.label for name in found]
    room = _compared(params, originals, bicubic)
    sentences = assay_sentences(replace(room, a=names[0], b=names[1]))
    if room.verdict not in SENSITIVE:
        return Block(title, sentences)
    rows = []
    for name in beside(params, results, found):
        each, arm = results.experiments[name], predictions_of(results, name)
        gain, share = _compared(params, arm, bicubic), recovered_share(arm, originals, bicubic, room.metric)
        rows.append([each.look.label, difference_text(gain), ratio_with_interval(share)])
    head = ("experiment", f"– {names[1]}, points", "recovered share, %")
    table = TableOfBlock("Recovered share of what was lost (95 % intervals)", head, rows)
    words = f"The recovered share is (arm – {names[1]}) / ({names[0]} – {names[1]}), with Fieller's interval."
    return Block(title, [*sentences, words], [table] if rows else [])


def assay_sentences(room: Comparison) -> list[str]:
    """Whether a design that gave this verdict on originals against bicubic could show an effect of SR."""
    level = ", 95 %" if has_interval(room) else ""
    difference = difference_text(room, f" points of {NAMES[room.metric]}", level)
    size = f"{room.a} – {room.b}: {difference}, {room.verdict}."
    if room.verdict in SENSITIVE:
        return [f"Yes, {room.a} is better than {room.b}.", size]
    if room.reason:
        return [f"{UNDECIDED}: {room.reason}.", size]
    return [f"{CANNOT}: it does not even show {room.a} to be better than {room.b}.", size]


def _compared(params: Params, first: Predictions, second: Predictions) -> Comparison:
    """By the primary metric, in a family of its own."""
    found = compare([pair(first, second)], params.study.primary, params.study.margin)
    return next(each for each in found if each.primary)


def conflict_blocks(params: Params, results: StudyResults) -> list[Block]:
    """How many images of each role show a source with two labels, and the verdicts without them; empty without any."""
    sources = conflicting_sources((row.source, row.label) for row in results.manifest)
    if not sources:
        return []
    roles = Counter(row.role(results.protocol) for row in results.manifest if row.source in sources)
    counts = ", ".join(f"{count} {role}" for role, count in sorted(roles.items()) if role)
    have = f"{counted(len(sources), 'source')} {'has' if len(sources) == 1 else 'have'}"
    sentences = [f"{have} images with two labels ({counts or 'unused'})."]
    said = {name: predictions_of(results, name) for name in results.experiments}
    kept, images = without_sources(list(said.values()), sources)
    left = dict(zip(said, kept, strict=True))
    asked = [each for each in study_pairs(params) if set(each) <= set(left)]
    if not asked:
        return [Block("Label conflicts", sentences)]
    if not images:
        return [Block("Label conflicts", [*sentences, "No test image that is compared shows one."])]
    if any(arm.table.empty for arm in kept):
        return [Block("Label conflicts", [*sentences, "Without them some experiment has no test image left."])]
    pairs, protocols = [pair(left[a], left[b]) for a, b in asked], [results.protocol] * len(asked)
    found = named(compare_in_families(params, pairs, asked, protocols), labels_of(results))
    label = f"Verdicts without such sources ({counted(images, 'test image')})"
    table = TableOfBlock(label, ("experiments", *HEADS), verdict_rows(found), 3)
    return [Block("Label conflicts", sentences, [table])]


def consistency_block(results: StudyResults) -> Block:
    """How far the images of each arm are from what was measured."""
    rows = [
        [each.look.label, mean_sd(each.quality.consistency, each.quality.consistency_sd)]
        for each in results.arms.values()
    ]
    words = (
        "RMSE in grey levels between the images of an arm, shrunk by area means, and the low-resolution images: what "
        "an arm adds to, or takes from, what was measured. The row of the originals shows what the degradation does "
        "beside shrinking."
    )
    table = TableOfBlock("Distance from the low-resolution image, mean ± sd over images", ("arm", "RMSE"), rows)
    return Block("Consistency with the low-resolution images", [words], [table])
