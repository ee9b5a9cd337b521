"""The classifiers that an experiment trains under one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path

from leukosr.classify.experiment_data import ArmImages, ExperimentData, Split
from leukosr.classify.trainer import ClassifierTraining
from leukosr.config import ByClass
from leukosr.data.manifest import read_manifest, seen_by_classifiers
from leukosr.data.separation import untested_rows
from leukosr.data.splits import check_claims
from leukosr.engine.device import choose_device
from leukosr.engine.resume import Resume, work_digest
from leukosr.evaluate.arms.pairs import Run
from leukosr.layout import image_file, require, require_all, stage_again
from leukosr.pretrained.named import find_weights
from leukosr.stages.context import Context


class Work:
    """The classifiers of one experiment under one protocol, and where a cut attempt left them."""

    def __init__(
        self, context: Context, name: str, data: Mapping[int | None, ExperimentData], seeds: list[int] | None
    ) -> None:
        """`data`: the images as each SR seed shows them, or under None where the arms have none."""
        params, layout = context.params, context.layout
        self.params, self.processes, self.name, self.by_network = params, context.processes, name, data
        self.data = next(iter(data.values()))  # for what all of them have in common
        self.recipe, self.device = self.data.experiment.classifier, choose_device(params.runtime.device)
        self.seeds = seeds or params.seeds_of(name)
        self.runs = [Run(seed, network) for network, seed in product(data, self.seeds)]
        images: dict[str, list[str]] = {}
        for version, image in dict.fromkeys(each for own in data.values() for each in own.used):
            images.setdefault(version, []).append(image)
        used: list[Path] = []
        for version, names in images.items():
            files = [image_file(layout.arm(version), image) for image in names]
            used += require_all(files, stage_again(params.stage_of(version.partition("/")[0])))
        if self.recipe.weight_file is not None:
            used.append(find_weights(self.recipe.weight_file))
        recipe, experiment = self.recipe.model_dump(exclude={"precision"}), self.data.experiment
        shown = [experiment.train, experiment.test, experiment.repeat, experiment.limit]
        settings = [recipe, name, *shown, self.data.protocol, [run.label for run in self.runs]]
        digest = work_digest(settings, [layout.manifest, layout.roles, *used])
        self.resume = Resume.computed_in(self.recipe.precision, digest, params.runtime.checkpoint_seconds)

    def label(self, run: Run, split: Split) -> str:
        """What tells the trainings of one seed apart: the SR seed and the fold, where there are several."""
        network = "" if run.sr_seed is None else f"sr-{run.sr_seed}"
        return "-".join(part for part in (network, split.name) if part)

    def training(self, run: Run, split: Split, member: int) -> ClassifierTraining:
        """One of its classifiers, ready to train."""
        train, validation = self.by_network[run.sr_seed].train(split, run.seed)
        return ClassifierTraining(
            self.recipe,
            len(self.data.classes),
            train,
            validation=validation,
            seed=run.seed,
            name=self.label(run, split),
            member=member,
            device=self.device,
            compiling=self.params.runtime.compile,
            processes=self.processes,
        )


def works_of(context: Context, name: str, seeds: list[int] | None) -> list[Work]:
    """The classifiers of an experiment under each of its protocols; all share the images, which are read once."""
    params, layout, processes = context.params, context.layout, context.processes
    experiment, protocols = params.classify[name], params.protocols_of(name)
    rows = read_manifest(layout.manifest)
    networks = params.networks_of(*experiment.arms)
    for arm in experiment.arms:
        require(layout.arm(arm), params.stage_of(arm))
    versions = dict.fromkeys(each for network in networks for each in params.seen_with(name, network).arms)
    folders = {version: layout.arm(version) for version in versions}
    seen = seen_by_classifiers(rows, protocols)
    alone = {
        params.version(arm, network): untested_rows(seen, params.study.protocols, arm)
        for arm, network in product(experiment.arms, networks)
        if isinstance(params.source_arm(arm), ByClass)
    }
    device = choose_device(params.runtime.device)
    images = ArmImages(seen, folders, experiment.classifier, device, processes, only=alone)
    check_claims(rows, protocols)
    return [
        Work(context, name, {k: ExperimentData(rows, each, params.seen_with(name, k), images) for k in networks}, seeds)
        for each in protocols
    ]
