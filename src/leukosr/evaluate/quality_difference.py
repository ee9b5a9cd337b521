"""How far the mean PSNR of two arms lies apart, with an interval over sources and SR networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Run
from leukosr.evaluate.arms.two_way import Side, estimated
from leukosr.evaluate.estimate import Estimate


def psnr_difference(first: pd.DataFrame, second: pd.DataFrame, sources: Mapping[str, str]) -> Estimate:
    """Mean PSNR of `first` minus that of `second` on the same images, in dB, with its 95 % interval.

    Both have the columns of per_image.csv: image, psnr, and sr_seed where several networks made the images. Every image
    counts alike and is a pair. Images of one source (`sources`: image -> source) are one observation; one without a
    source is its own. Networks of one SR seed, which share the order of training, are pairs where both arms have the
    same seeds, else samples of their own. The variance is that of `two_way`, over networks x sources, without its
    remedy for scores near 100 %. Of an arm with one network the interval is about this network. No interval with a
    single source. Images that equal their original in either arm have no PSNR there and are left out of both. Raises
    LeukoError where the arms have other images, and where no image is left.
    """
    ours, theirs = _by_network(first), _by_network(second)
    if list(ours.columns) != list(theirs.columns):
        raise LeukoError("the two arms show other images: compare both again with `dvc repro --force quality`")
    left = ours.notna().all() & theirs.notna().all()
    if not left.any():
        raise LeukoError(
            f"all {len(left)} images equal their originals in one of two arms, so these have no PSNR to compare: "
            "compare other arms (study.comparisons)"
        )
    ours, theirs = ours.loc[:, left], theirs.loc[:, left]
    owners = [sources.get(image) or image for image in ours.columns]
    if len(theirs) == 1:
        sides = [_side(ours - theirs.iloc[0], owners)]
    elif len(ours) == 1:
        sides = [_side(ours.iloc[0] - theirs, owners)]
    elif list(ours.index) == list(theirs.index):
        sides = [_side(ours - theirs, owners)]
    else:
        sides = [_side(ours, owners), replace(_side(theirs, owners), sign=-1)]
    images = pd.Series(owners).groupby(owners).size().to_numpy(float)
    if len(images) < 2:
        return Estimate(float(sum(side.sign * side.scores.mean() for side in sides)), None, None)
    found = replace(estimated(sides, images, np.zeros(len(images), int)), unseen=np.zeros(()))
    low, high = found.interval(0.95)
    return Estimate(float(found.value), float(low), float(high))


def _by_network(per_image: pd.DataFrame) -> pd.DataFrame:
    """PSNR, a row per network and a column per image."""
    table = per_image if "sr_seed" in per_image else per_image.assign(sr_seed=-1)
    return table.pivot(index="sr_seed", columns="image", values="psnr")


def _side(scores: pd.DataFrame, owners: list[str]) -> Side:
    """The networks' mean scores, and the influence of each source on them, sources sorted."""
    apart = scores.sub(scores.mean(axis=1), axis=0) / scores.shape[1]
    influence = apart.T.groupby(owners).sum().T.to_numpy()
    return Side(tuple(Run(int(seed)) for seed in scores.index), scores.mean(axis=1).to_numpy(), influence)
