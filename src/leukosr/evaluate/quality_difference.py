"""How far the mean PSNR of two arms lies apart, with an interval over images and SR networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Run
from leukosr.evaluate.arms.two_way import Side, estimated
from leukosr.evaluate.estimate import Estimate


def psnr_difference(first: pd.DataFrame, second: pd.DataFrame) -> Estimate:
    """Mean PSNR of `first` minus that of `second` on the same images, in dB, with its 95 % interval.

    Both have the columns of per_image.csv: image, psnr, and sr_seed where several networks made the images. Every image
    counts alike and is a pair; networks of one SR seed, which share the order of training, are pairs where both have
    the same seeds, else samples of their own. The variance is that of `two_way`, over networks x images, without its
    remedy for scores near 100 %. An arm with one network has no part of its own in the interval: it is then about this
    network. Images of one source are to be given one by one only where they are independent. No interval with fewer
    than two images. Raises LeukoError where the arms have other images.
    """
    ours, theirs = _by_network(first), _by_network(second)
    if list(ours.columns) != list(theirs.columns):
        raise LeukoError(
            "the two arms were compared on other images: make their quality again with `dvc repro quality`"
        )
    if len(ours.columns) < 2:
        return Estimate(float(ours.to_numpy().mean() - theirs.to_numpy().mean()), None, None)
    if len(theirs) == 1:
        sides = [_side(ours - theirs.iloc[0])]
    elif len(ours) == 1:
        sides = [_side(ours.iloc[0] - theirs)]
    elif list(ours.index) == list(theirs.index):
        sides = [_side(ours - theirs)]
    else:
        sides = [_side(ours), replace(_side(theirs), sign=-1)]
    count = len(ours.columns)
    found = replace(estimated(sides, np.ones(count), np.zeros(count, int)), unseen=np.zeros(()))
    low, high = found.interval(0.95)
    return Estimate(float(found.value), float(low), float(high))


def _by_network(per_image: pd.DataFrame) -> pd.DataFrame:
    """PSNR, a row per network and a column per image."""
    table = per_image if "sr_seed" in per_image else per_image.assign(sr_seed=-1)
    wide = table.pivot_table(index="sr_seed", columns="image", values="psnr", aggfunc="first")
    if wide.isna().to_numpy().any():
        raise LeukoError("an image has no PSNR from some network, so it cannot be compared: it equals its original")
    return wide


def _side(scores: pd.DataFrame) -> Side:
    """The networks' mean scores, and the influence of each image on them."""
    values = scores.to_numpy(float)
    mean = values.mean(1)
    return Side(
        tuple(Run(int(seed)) for seed in scores.index), mean, (values - mean[:, None]) / values.shape[1]
    )
