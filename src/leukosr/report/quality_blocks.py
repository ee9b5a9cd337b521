"""What a report says of image quality in a study without classifiers: differences of PSNR, and predicted maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leukosr.config import Generated, Params, Resampled
from leukosr.evaluate.estimate import Estimate
from leukosr.evaluate.quality_difference import psnr_difference
from leukosr.report.block import Block, TableOfBlock
from leukosr.report.results import ArmResults, StudyResults
from leukosr.report.tables import UNDEFINED, number

CLOSE = 0.01  # dB between a trained method and its input that say that it did not train


def quality_blocks(params: Params, results: StudyResults) -> list[Block]:
    """The differences that the study asks for, where nothing else is compared, and the Dice of predicted maps."""
    blocks = []
    pairs = [] if results.experiments else compared_arms(params)
    if pairs:
        blocks.append(_differences(params, results, pairs))
    blocks += _maps(results)
    return blocks


def compared_arms(params: Params) -> list[tuple[str, str]]:
    """The pairs of arms that a study without classifiers names, else every network with every plain enlargement."""
    if params.study.comparisons is not None:
        return list(params.study.comparisons)
    made = [name for name in params.compared if isinstance(params.upscale[name], Generated)]
    plain = [
        name
        for name in params.compared
        if isinstance(params.upscale[name], Resampled) and params.upscale[name].made_from == "low"
    ]
    return [(first, second) for first in made for second in plain]


def _differences(params: Params, results: StudyResults, pairs: list[tuple[str, str]]) -> Block:
    sources = {row.id: row.source for row in results.manifest}
    rows = []
    for first, second in pairs:
        ours, theirs = results.arms[first], results.arms[second]
        found = psnr_difference(ours.every_network, theirs.every_network, sources)
        rows.append([f"{ours.look.label} – {theirs.look.label}", _networks(ours), _networks(theirs), interval(found)])
    idle = [arm.look.label for arm in results.arms.values() if arm.facts.get("did_not_train")]
    unit = "sources" if any(sources.values()) else "images, each a source of its own,"
    words = [
        f"Mean difference of PSNR on the same images, with 95 % intervals over {unit} and over SR networks (Student's "
        "t, both crossed). The intervals are not corrected for their number."
    ]
    if params.study.sr_seeds is None:
        words.append("Every method was trained once: the intervals are about these networks, not about the methods.")
    if idle:
        words.append(
            f"Did not train: {', '.join(idle)}, within {CLOSE} dB of what went in. That is no evidence against it."
        )
    table = TableOfBlock(
        "Differences of PSNR", ("arms", "networks", "networks of the second", "difference, dB (95 % interval)"), rows
    )
    return Block("Differences of PSNR", words, [table])


def _networks(arm: ArmResults) -> str:
    return str(arm.every_network["sr_seed"].nunique()) if "sr_seed" in arm.every_network else UNDEFINED


def interval(found: Estimate) -> str:
    """`+0.41 (-0.02 … +0.84)`, in dB."""
    if found.ci_low is None or found.ci_high is None:
        return f"{found.value:+.2f} ({UNDEFINED})"
    return f"{found.value:+.2f} ({found.ci_low:+.2f} … {found.ci_high:+.2f})"


def _maps(results: StudyResults) -> list[Block]:
    """Dice of the maps that networks predict on the way to their images; empty where none does."""
    parts = ("nucleus", "cytoplasm")
    rows = [
        [arm.look.label, *(_mean_sd(arm.facts, f"dice_{part}") for part in parts)]
        for arm in results.arms.values()
        if "dice_nucleus" in arm.facts
    ]
    if not rows:
        return []
    words = (
        "Dice of the map that a network predicts from the low-resolution image, against the mask of the original: mean "
        "over images. A map that is good on its own need not be what improves the image; the rows with shuffled and "
        "true maps, where the study has them, say that."
    )
    return [Block("Predicted maps", [words], [TableOfBlock("Dice, mean ± sd over images", ("arm", *parts), rows)])]


def _mean_sd(facts: Mapping[str, Any], name: str) -> str:
    return f"{number(facts[name], 3)} ± {number(facts[f'{name}_sd'], 3)}"
