"""What one arm, training or experiment asks of the rest of params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from leukosr.classify.settings import Experiment
from leukosr.config.arms import ByClass, ByFile, Extraction, Recoloured, Trained
from leukosr.data.sr_folds import sr_folds
from leukosr.evaluate.claims import Claims
from leukosr.images.settings import Image
from leukosr.layout import weight_file
from leukosr.superres.methods.method import TrainSR

if TYPE_CHECKING:
    from leukosr.config.params import Params


def check_training(name: str, arm: Trained, params: Params) -> None:
    """There are such trainings, each of its class where that is asked for, and DVC watches their weights."""
    key = "trainings" if isinstance(arm, ByClass) else "training"
    for training in arm.used_trainings:
        if training not in params.train_sr:
            raise ValueError(
                f"upscale.{name}.{key} = '{training}': no such training; train_sr has "
                f"{', '.join(params.train_sr) or 'none'}"
            )
    below = f"outputs/{params.study.name}/sr"
    needed = below if isinstance(arm, ByClass) else f"{below}/{arm.used_trainings[0]}"
    if arm.reads != needed:
        raise ValueError(f"upscale.{name}.reads = {arm.reads}: must be {needed}, where its training writes the weights")
    for label, training in arm.trainings.items() if isinstance(arm, ByClass) else ():
        found = params.train_sr[training].only_class
        if found != label:
            raise ValueError(
                f"upscale.{name}.trainings.{label} = '{training}': train_sr.{training}.class is {found}, it must be "
                f"{label}"
            )


def check_sr_folds(params: Params) -> None:
    """Where SR is fitted once per fold, nothing asks for further networks or would see the images of several."""
    fitted = params.train_sr or any(isinstance(arm, Trained | Recoloured) for arm in params.upscale.values())
    if not (folds := sr_folds(params.study, params.prepare)) or not fitted:
        return
    key = f"prepare.source_disjoint.folds = {len(folds)}: under {params.study.sr_protocol} SR trains once per fold"
    if len(params.study.protocols) > 1:
        raise ValueError(
            f"{key}, which leaves no network for the images that other protocols test: set folds to null, or "
            f"study.protocol to {params.study.sr_protocol}"
        )
    if params.study.classifies:
        raise ValueError(
            f"{key}, so that a classifier would train on images by what was fitted to its test images: set folds to "
            "null, take classification out of study.measures, or leave out trainings and colour maps"
        )
    if params.study.sr_seeds is not None:
        raise ValueError(f"{key}, and study.sr_seeds asks for several networks, too: set one of the two to null")


def check_extraction(name: str, extraction: Extraction, params: Params) -> None:
    """Its name is no other arm's, there are such images, and DVC watches them."""
    key = f"extract.{name}"
    if name in params.upscale:
        raise ValueError(f"{key}: upscale has an arm of this name, too; both write arms/{name}: rename one")
    if extraction.arm is not None and extraction.arm not in params.upscale:
        raise ValueError(
            f"{key}.arm = '{extraction.arm}': no such arm; upscale has {', '.join(params.upscale) or 'none'}, and null "
            "takes the originals"
        )
    needed = params.prepare.root if extraction.arm is None else f"outputs/{params.study.name}/arms/{extraction.arm}"
    if extraction.reads != needed:
        raise ValueError(f"{key}.reads = {extraction.reads}: must be {needed}, where the images lie")


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
        if arm not in params.arms:
            raise ValueError(f"{key}: unknown arm '{arm}'; the arms of this study are {', '.join(params.arms)}")
    for protocol in experiment.protocols or ():
        if protocol not in params.study.protocols:
            raise ValueError(
                f"{key}.protocols: '{protocol}' is none of the study's, {', '.join(params.study.protocols)}"
            )
    if isinstance(params.source_arm(experiment.test), ByClass):
        raise ValueError(
            f"{key}.test = {experiment.test}: its networks were trained on one class each, so its images tell the "
            "label: train on them, and test on another arm"
        )
    arms = f"outputs/{params.study.name}/arms"
    needed = arms if len(experiment.arms) > 1 else f"{arms}/{experiment.test}"
    if experiment.reads != needed:
        raise ValueError(f"{key}.reads = {experiment.reads}: must be {needed}, where the images of its arms lie")


def check_comparisons(params: Params) -> None:
    """Each pair are two experiments that meet or, where nothing is classified, two arms that have a PSNR."""
    classifies = params.study.classifies
    known, noun = (params.classify, "experiments") if classifies else (params.compared, "arms")
    seen: set[frozenset[str]] = set()
    for pair in params.study.comparisons or ():
        key = f"study.comparisons: {list(pair)}"
        if frozenset(pair) in seen:
            raise ValueError(f"{key} is named twice, in either order: name each pair once, or p is corrected for both")
        seen.add(frozenset(pair))
        if len(set(pair)) != 2 or not set(pair) <= set(known):
            raise ValueError(f"{key} must be two different {noun} of {', '.join(known)}")
        if classifies and not params.comparable(*pair):
            raise ValueError(
                f"{key} must have a protocol and a seed in common; see protocols and seeds of classify.{pair[0]} and "
                f"classify.{pair[1]}"
            )
        originals = [] if classifies else [arm for arm in pair if params.upscale[arm].shows_originals(params.image)]
        if originals:
            raise ValueError(f"{key}: {originals[0]} shows the originals, whose PSNR is undefined: leave the pair out")


def check_titles(params: Params) -> None:
    """Pages and answers tell arms apart by their titles, and experiments by theirs."""
    arms = {name: _title(params, name) for name in params.arms}
    experiments = {
        name: name.replace("_", " ") if name in arms and each.arms != (name,) else _title(params, name)
        for name, each in params.classify.items()
    }
    for titles in (arms, experiments):
        taken: dict[str, str] = {}
        for name, title in titles.items():
            if title in taken:
                raise ValueError(
                    f"report.looks: {taken[title]} and {name} have one title, '{title}': give one of them another"
                )
            taken[title] = name


def _title(params: Params, name: str) -> str:
    look = params.report.looks.get(name)
    return (look and look.title) or name.replace("_", " ")


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


def check_sr_seeds(params: Params) -> None:
    """No SR seed is in vain, and none is contradicted."""
    if params.study.sr_seeds is None:
        return
    if not params.train_sr:
        raise ValueError("study.sr_seeds: this study trains no SR method; set it to null")
    for name, train in params.train_sr.items():
        if train.seed is not None:
            raise ValueError(
                f"train_sr.{name}.seed = {train.seed}: study.sr_seeds = {params.study.sr_seeds} seeds every SR "
                "method; set one of the two to null"
            )


def check_measures(params: Params) -> None:
    """There is something to do for each measure of the study, and nothing for the others."""
    measured = params.upscale.items() if "image_quality" in params.study.measures else ()
    wanted = [name for name, arm in measured if not isinstance(arm, ByClass)]
    if sorted(params.compared) != sorted(wanted):
        raise ValueError(f"compared: must list {', '.join(wanted) or 'nothing'}, by study.measures")
    if params.study.classifies:
        if not params.classify:
            raise ValueError("classify: add an experiment, or take classification out of study.measures")
        return
    if params.classify:
        raise ValueError(
            "classify: study.measures names no classification, so there can be no experiments: write "
            "`classify: ${oc.create:{}}` into the study's file, as conf/study/demo_sr.yaml does"
        )
    if params.prepare.classes is not None:
        raise ValueError("prepare.classes: a study without classification has no classes; set it to null")
    for name, train in params.train_sr.items():
        if train.only_class is not None:
            raise ValueError(f"train_sr.{name}.class: a study without classification has no classes; set it to null")
