"""Both averages of image quality with intervals over sources, and a table of ten images, for studies of SR alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from leukosr.config import Arm, Params, Resampled
from leukosr.data.sr_folds import sr_folds
from leukosr.evaluate.by_source import LEAST, mean_over_images, psnr_of_mean_mse
from leukosr.evaluate.estimate import Estimate
from leukosr.quoting import counted, decimal
from leukosr.report.block import Block, TableOfBlock
from leukosr.report.published import published_facts
from leukosr.report.results import StudyResults
from leukosr.report.sections import chosen_images
from leukosr.report.tables import number

SHOWN = 10  # rows of the table of images, as in table 1.1 of 002
HEADS = {"psnr": "PSNR, dB", "mse": "MSE", "ssim": "SSIM", "lpips": "LPIPS", "consistency": "RMSE from LR"}
DIGITS = {"psnr": 2, "mse": 2, "ssim": 4, "lpips": 4, "consistency": 2}
CHANCE = "They hold the chance of the sources, not that of another training, and are not corrected for their number."
TWO_MEANS = "The PSNR of the mean MSE is never above the mean of PSNRs, as images that fail weigh more in it."


def average_blocks(params: Params, results: StudyResults) -> list[Block]:
    """The averages of every arm that differs from the originals, and ten images one by one."""
    source_of = {row.id: row.source for row in results.manifest}
    tables = {
        arm: each.per_image.assign(source=each.per_image["image"].map(source_of))
        for arm, each in results.arms.items()
        if each.per_image["psnr"].notna().any()  # undefined for an image against itself
    }
    if not tables:
        return []
    return [_averages(params, results, tables), _single_images(results, tables)]


def _averages(params: Params, results: StudyResults, tables: Mapping[str, pd.DataFrame]) -> Block:
    first = next(iter(tables.values()))
    known, count = bool((first["source"] != "").all()), first["source"].nunique()
    of = f"Means over {counted(len(first), 'image')}"
    if known and count >= LEAST:
        sentences = [f"{of} of {count} sources with 95 % intervals over sources. {CHANCE}"]
    elif known:
        sentences = [f"{of} of {counted(count, 'source')}, too few for intervals over sources."]
    else:
        sentences = [f"{of}. The source of some is not known, so there are no intervals."]
    if params.study.sr_seeds is not None:
        sentences.append("Of several SR networks, the images by the first.")
    if params.train_sr and (folds := sr_folds(params.study, params.prepare)):
        sentences.append(
            f"{', '.join(params.train_sr)} were trained once for each of {len(folds)} folds: no network of theirs saw "
            "the sources of its images."
        )
    sentences += [
        f"The mean PSNR of {results.arms[arm].look.label} leaves out {counted(unbounded, 'image')} equal to the "
        "original."
        for arm, table in tables.items()
        if (unbounded := int(table["psnr"].isna().sum()))
    ]
    rows = [[results.arms[arm].look.label, *_means(table, known)] for arm, table in tables.items()]
    head = ("arm", "mean of PSNRs, dB", "PSNR of the mean MSE, dB", *(HEADS[name] for name in _measured(first)[1:]))
    found = [TableOfBlock("Averages", head, rows)]
    baseline = next((arm for arm in tables if _enlarges(params.upscale[arm])), None)
    if baseline is not None and known:
        label = results.arms[baseline].look.label
        gains = [
            [results.arms[arm].look.label, *_gains(table, tables[baseline])]
            for arm, table in tables.items()
            if arm != baseline
        ]
        head = (f"arm – {label}", *(HEADS[name] for name in _measured(first)))
        found.append(TableOfBlock(f"Differences from {label} on the same images", head, gains))
    if not any(table["psnr"].isna().any() for table in tables.values()):  # else the two are over different images
        sentences.append(TWO_MEANS)
    return Block("Averages of image quality", [*sentences, *_published(params)], found)


def _measured(table: pd.DataFrame) -> list[str]:
    return [name for name in HEADS if name in table]


def _means(table: pd.DataFrame, known: bool) -> list[str]:
    sources = list(table["source"]) if known else [""] * len(table)
    means = {name: _mean(table[name], sources) for name in _measured(table)}
    psnr, *others = (_shown(each, DIGITS[name]) for name, each in means.items())
    return [psnr, _shown(psnr_of_mean_mse(table["mse"], sources), DIGITS["psnr"]), *others]


def _gains(table: pd.DataFrame, baseline: pd.DataFrame) -> list[str]:
    """The means of paired differences."""
    both = table.merge(baseline, on="image", suffixes=("", "_baseline"), validate="one_to_one")
    differences = {name: both[name] - both[f"{name}_baseline"] for name in _measured(table)}
    sources: Sequence[str] = list(both["source"])
    return [_shown(_mean(each, sources), DIGITS[name], "+") for name, each in differences.items()]


def _mean(values: pd.Series[float], sources: Sequence[str]) -> Estimate:
    """Over the images where the figure is defined."""
    defined = values.notna()
    return mean_over_images(values[defined], [each for each, kept in zip(sources, defined, strict=True) if kept])


def _shown(found: Estimate, digits: int, sign: str = "") -> str:
    text = decimal(found.value, digits, sign)
    if found.ci_low is None or found.ci_high is None:
        return text
    return f"{text} ({decimal(found.ci_low, digits, sign)} … {decimal(found.ci_high, digits, sign)})"


def _enlarges(arm: Arm) -> bool:
    return isinstance(arm, Resampled) and arm.made_from == "low"


def _published(params: Params) -> list[str]:
    """What a report printed of both, where the study names one that did."""
    printed = published_facts().get(params.study.published or "", {})
    if "mse" not in printed:
        return []
    figures = f"mean MSE {printed['mse']:.2f}, mean PSNR {printed['psnr']:.2f} dB"
    return [f"Published on other images, for orientation alone: {figures} ({printed['source']})."]


def _single_images(results: StudyResults, tables: Mapping[str, pd.DataFrame]) -> Block:
    by_image = {arm: table.set_index("image") for arm, table in tables.items()}
    rows = [
        [image, *(number(each[name][image], 2) for each in by_image.values() for name in ("mse", "psnr"))]
        for image, _ in chosen_images(results, SHOWN)
    ]
    labels = [results.arms[arm].look.label for arm in tables]
    head = ("image", *(f"{label}, {HEADS[name]}" for label in labels for name in ("mse", "psnr")))
    words = "The first images of every source by name, so they are not hand-picked; the section Images shows them."
    return Block(f"{len(rows)} images one by one", [words], [TableOfBlock("MSE and PSNR", head, rows)])
