"""What a report says of image quality in a study without classifiers: differences of PSNR, and predicted maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leukosr.config import ByTraining, Generated, Params, Resampled
from leukosr.data.mask_files import mask_file
from leukosr.evaluate.quality_difference import psnr_difference
from leukosr.images.masks import read_hr_mask, read_mask
from leukosr.images.reading import read_hr, read_rgb
from leukosr.layout import MAPS, image_file
from leukosr.quoting import counted, decimal
from leukosr.report.block import Block, TableOfBlock
from leukosr.report.grids import image_rows
from leukosr.report.results import ArmResults, StudyResults
from leukosr.report.style import size_text
from leukosr.report.tables import UNDEFINED, number

DIFFERENCES = ["arms", "networks", "other_networks", "difference", "low", "high"]


def quality_blocks(folder: Path, params: Params, results: StudyResults, note: str) -> list[Block]:
    """The differences that the study asks for, where nothing else is compared; predicted maps with their figure."""
    found = psnr_differences(params, results)
    blocks = [] if found.empty else [_differences(params, results, found)]
    return blocks + _maps(folder, params, results, note)


def psnr_differences(params: Params, results: StudyResults) -> pd.DataFrame:
    """The differences of PSNR in dB that a study without classifiers asks for, a row per pair of arms; else none."""
    sources, rows = {row.id: row.source for row in results.manifest}, []
    for first, second in [] if results.experiments else compared_arms(params):
        ours, theirs = results.arms[first], results.arms[second]
        found = psnr_difference(ours.every_network, theirs.every_network, sources)
        arms = f"{ours.look.label} – {theirs.look.label}"
        rows.append((arms, _networks(ours), _networks(theirs), found.value, found.ci_low, found.ci_high))
    return pd.DataFrame(rows, columns=DIFFERENCES)


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


def _differences(params: Params, results: StudyResults, found: pd.DataFrame) -> Block:
    sources = [row.source for row in results.manifest]
    unit = "sources" if any(sources) else "images, each a source of its own,"
    words = [
        f"Mean difference of PSNR on the same images, with 95 % intervals over {unit} and over SR networks (Student's "
        "t, both crossed). The intervals are not corrected for their number."
    ]
    words += _equal_originals(params, results)
    if params.study.sr_seeds is None:
        words.append("Every method was trained once: the intervals are about these networks, not about the methods.")
    head = ("arms", "networks", "networks of the second", "difference, dB (95 % interval)")
    return Block("Differences of PSNR", words, [TableOfBlock("Differences of PSNR", head, difference_rows(found))])


def _equal_originals(params: Params, results: StudyResults) -> Iterator[str]:
    """Of each pair of arms, how many images it leaves out, as one of the two equals their original."""
    for names in compared_arms(params):
        arms = [results.arms[name] for name in names]
        tables = [each.every_network for each in arms]
        equal = set().union(*(table.loc[table["psnr"].isna(), "image"] for table in tables))
        if equal:
            label = " – ".join(each.look.label for each in arms)
            yield f"{label} leaves out {counted(len(equal), 'image')}: one of the two arms equals the original there."


def difference_rows(found: pd.DataFrame) -> list[list[str]]:
    """The table of `psnr_differences` as text."""
    words = [found[name].astype(str) for name in DIFFERENCES[:3]]
    shown = (interval(*each) for each in found[DIFFERENCES[3:]].astype(float).to_numpy().tolist())
    return [list(row) for row in zip(*words, shown, strict=True)]


def _networks(arm: ArmResults) -> str:
    return str(arm.every_network["sr_seed"].nunique()) if "sr_seed" in arm.every_network else UNDEFINED


def interval(value: float, low: float, high: float, unit: str = "") -> str:
    """`+0.41 (−0.02 … +0.84)`, in dB; an en dash where there is no interval (NaN)."""
    bounds = UNDEFINED if isnan(low) else f"{decimal(low, 2, '+')} … {decimal(high, 2, '+')}"
    return f"{decimal(value, 2, '+')}{unit} ({bounds})"


def _maps(folder: Path, params: Params, results: StudyResults, note: str) -> list[Block]:
    """Dice of the maps that networks predict on the way to their images; empty where none does."""
    parts = ("nucleus", "cytoplasm")
    arms = {name: arm for name, arm in results.arms.items() if "dice_nucleus" in arm.facts}
    if not arms:
        return []
    free = [name for name in arms if _has_free_map(params, name)]
    rows = [
        [
            f"{arm.look.label} (means nothing: no loss on its map)" if name in free else arm.look.label,
            *(_mean_sd(arm.facts, f"dice_{part}") for part in parts),
        ]
        for name, arm in arms.items()
    ]
    fitted = {name: arm for name, arm in arms.items() if name not in free}
    if fitted:
        _draw_maps(folder / "maps.png", params, results, fitted, note)
    words = [
        "Dice of the map that a network predicts from the low-resolution image, against the mask of the original: mean "
        "over images. A map that is good on its own need not be what improves the image; the rows with shuffled and "
        "true maps, where the study has them, say that."
    ]
    if free:
        words.append(
            "A network whose map had no loss in training uses its three channels as it likes: that they are called "
            "nucleus, cytoplasm and rest means nothing, and neither does its Dice."
        )
    table = TableOfBlock("Dice, mean ± sd over images", ("arm", *parts), rows)
    caption = (
        "The first test images by name, their low resolution, which the networks see, their masks, and the maps of "
        "networks that learnt them: nucleus white, cytoplasm grey."
    )
    return [Block("Predicted maps", words, [table], {"maps": caption} if fitted else {})]


def _has_free_map(params: Params, arm: str) -> bool:
    """Whether a training of the study without masks made the network that predicts a map."""
    settings = params.upscale[arm]
    return isinstance(settings, ByTraining) and not params.train_sr[settings.training].needs_masks


def _draw_maps(path: Path, params: Params, results: StudyResults, arms: Mapping[str, ArmResults], note: str) -> None:
    shown = sorted(next(iter(arms.values())).per_image["image"])[: params.report.grid_cells]
    items, root = {row.id: row for row in results.manifest}, Path(params.prepare.root)
    chosen = [items[image] for image in shown]
    masks = [read_hr_mask(mask_file(root, row), (row.height, row.width), params.image) for row in chosen]
    rows = [
        [read_hr(root / row.path, params.image) for row in chosen],
        [read_rgb(image_file(results.layout.lr, row.id)) for row in chosen],
        [_grey(mask) for mask in masks],
    ]
    for name in arms:
        maps = results.layout.arm(params.version(name, params.study.networks[0])) / MAPS
        rows.append(
            [_grey(read_mask(image_file(maps, row.id), mask.shape)) for row, mask in zip(chosen, masks, strict=True)]
        )
    names = ["HR", f"LR, {size_text(*params.image.lr_size)}", "mask", *(arm.look.label for arm in arms.values())]
    image_rows(path, rows, names, [Path(image).name for image in shown], note)


def _grey(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(mask[..., None], 3, axis=2)


def _mean_sd(facts: Mapping[str, Any], name: str) -> str:
    return f"{number(facts[name], 3)} ± {number(facts[f'{name}_sd'], 3)}"
