"""What one arm, training or experiment asks of the rest of params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from leukosr.classify.settings import Experiment
from leukosr.config.arms import ByFile, ByTraining
from leukosr.evaluate.claims import Claims
from leukosr.images.settings import Image
from leukosr.layout import weight_file
from leukosr.superres.methods.method import TrainSR

if TYPE_CHECKING:
    from leukosr.config.params import Params


def check_training(name: str, arm: ByTraining, params: Params) -> None:
    """There is such a training, and DVC watches its weights."""
    if arm.training not in params.train_sr:
        raise ValueError(
            f"upscale.{name}.training = '{arm.training}': no such training; train_sr has "
            f"{', '.join(params.train_sr) or 'none'}"
        )
    needed = f"outputs/{params.study.name}/sr/{arm.training}"
    if arm.reads != needed:
        raise ValueError(f"upscale.{name}.reads = {arm.reads}: must be {needed}, where its training writes the weights")


def check_watched(key: str, reads: str, weights: str | None, by: str, starts: Mapping[str, str]) -> None:
    """DVC watches the weights that a training or a classifier starts or learns from, which setting `by` names."""
    needed = starts.get(str(weights)) or str(weight_file(str(weights)))
    if reads != needed:
        raise ValueError(f"{key}.reads = {reads}: must be {needed}, by {key}.{by}")


def watched_weights(params: Params) -> list[str]:
    """The files of weights that arms, trainings and classifiers of a study name, in this order, each once."""
    found = [arm.reads for arm in params.upscale.values() if isinstance(arm, ByFile)]
    found += [train.reads for train in params.train_sr.values() if train.watched is not None]
    files = (experiment.classifier.weight_file for experiment in params.classify.values())
    found += [file.as_posix() for file in files if file is not None]
    return list(dict.fromkeys(found))


def check_experiment(name: str, experiment: Experiment, params: Params) -> None:
    """Arms and protocols that there are, and the input that DVC is to watch."""
    key = f"classify.{name}"
    for arm in experiment.arms:
        if arm not in params.upscale:
            raise ValueError(f"{key}: unknown arm '{arm}'; the arms of this study are {', '.join(params.upscale)}")
    for protocol in experiment.protocols or ():
        if protocol not in params.study.protocols:
            raise ValueError(
                f"{key}.protocols: '{protocol}' is none of the study's, {', '.join(params.study.protocols)}"
            )
    arms = f"outputs/{params.study.name}/arms"
    needed = arms if len(experiment.arms) > 1 else f"{arms}/{experiment.test}"
    if experiment.reads != needed:
        raise ValueError(f"{key}.reads = {experiment.reads}: must be {needed}, where the images of its arms lie")


def check_claims(claims: Claims, params: Params) -> None:
    """The study, and every experiment of the family, runs what was declared."""
    for key, declared, run in (
        ("metric", claims.metric, params.study.primary),
        ("margin", claims.margin, params.study.margin),
        ("seeds", claims.seeds, params.study.seeds),
        ("sr_seeds", claims.sr_seeds, params.study.sr_seeds),
    ):
        if declared != run:
            ours = {"metric": "primary"}.get(key, key)
            raise ValueError(f"claims.{key}: {declared} was declared, but study.{ours} is {run}: make them equal")
    for claim in claims.family:
        known = params.experiments_under(claim.protocol)
        for name in (claim.first, claim.second):
            if name not in known:
                raise ValueError(
                    f"claims.family: '{name}' does not run under {claim.protocol}; experiments that do are "
                    f"{', '.join(known) or 'none'}; declare what the study runs, or nothing with -S claims=null"
                )
            if params.seeds_of(name) != claims.seeds:
                raise ValueError(
                    f"claims.seeds: {claims.seeds} was declared, but classify.{name}.seeds is "
                    f"{params.seeds_of(name)}: set it to null"
                )


def check_patch(name: str, train: TrainSR, image: Image) -> None:
    """A patch must tile into whole LR pixels; whole images are only turned where that keeps their shape."""
    if train.patch is None:
        if train.flips is True and image.height != image.width:
            raise ValueError(
                f"train_sr.{name}.flips = true: whole images of {image.height}x{image.width} cannot be turned by a "
                "quarter; use horizontal or false"
            )
        return
    if train.patch % image.scale:
        lower = train.patch - train.patch % image.scale
        raise ValueError(
            f"train_sr.{name}.patch {train.patch} is not divisible by image.scale {image.scale}: "
            f"use {max(lower, 32)} or {lower + image.scale}"
        )
