"""All of params.yaml, and what its sections ask of each other."""

from __future__ import annotations

from pydantic import Field, model_validator

from leukosr.classify.settings import Classifier, Experiment
from leukosr.config.arms import AnyArm, Arm, Extraction, Trained, Untouched
from leukosr.config.checks import (
    check_claims,
    check_comparisons,
    check_experiment,
    check_extraction,
    check_measures,
    check_patch,
    check_sr_folds,
    check_sr_seeds,
    check_titles,
    check_training,
    check_watched,
)
from leukosr.config.study import Budget, FindSources, Report
from leukosr.config.sweep import STREAMS_OF, Sweep, SweptStream
from leukosr.config.sweep_checks import check_sweep, split_is_fixed
from leukosr.data.settings import Prepare, Provenance
from leukosr.data.sr_folds import sr_folds
from leukosr.data.study import Study
from leukosr.data.synthetic.settings import SyntheticSet
from leukosr.degradation.settings import Degrade
from leukosr.engine.settings import Runtime
from leukosr.evaluate.claims import Claims
from leukosr.evaluate.settings import LEAST_SIDE, Quality
from leukosr.images.settings import Image
from leukosr.layout import of_network
from leukosr.settings import Name, Precision, Protocol, Section
from leukosr.superres.methods import AnyTrainSR


class Params(Section):
    """All of params.yaml."""

    study: Study
    claims: Claims | None = Field(
        description="declared before the first run (docs/design.md#what-may-be-claimed); null: nothing"
    )
    budget: Budget
    synthesize: dict[str, SyntheticSet]
    find_sources: dict[str, FindSources]
    provenance: dict[str, Provenance]
    prepare: Prepare
    image: Image
    degrade: Degrade
    starts: dict[str, str] = Field(
        description="internal: weights -> file that DVC watches for them; all other weights name the file itself"
    )
    train_sr: dict[Name, AnyTrainSR]
    upscale: dict[Name, AnyArm]
    extract: dict[Name, Extraction]
    compared_by: dict[str, list[str]] = Field(
        description="internal: measure -> arms that the stage quality compares with the originals"
    )
    compared: list[str] = Field(description="internal: arms that the stage quality compares with the originals")
    quality: Quality
    classifier: Classifier
    classify: dict[Name, Experiment]
    sweepable: dict[str, list[str]] = Field(description="internal: target of a sweep -> what it may repeat")
    sweep: Sweep
    report: Report
    runtime: Runtime

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms of the study in the order of its file."""
        return (*self.upscale, *self.extract)

    def source_arm(self, arm: str) -> Arm:
        """How the images of an arm are made before a cell is cut out of them, if one is."""
        extraction = self.extract.get(arm)
        if extraction is None:
            return self.upscale[arm]
        if extraction.arm is None:
            return Untouched.model_validate({"reads": extraction.reads, "from": "original", "by": "nothing"})
        return self.upscale[extraction.arm]

    def stage_of(self, arm: str) -> str:
        """The stage of the pipeline that makes the images of an arm."""
        return f"{'extract' if arm in self.extract else 'upscale'}@{arm}"

    @model_validator(mode="after")
    def _arms_fit(self) -> Params:
        for name, arm in self.upscale.items():
            if isinstance(arm, Trained):
                check_training(name, arm, self)
        check_sr_folds(self)
        for name, extraction in self.extract.items():
            check_extraction(name, extraction, self)
        if unknown := [name for name in self.report.looks if name not in (*self.arms, *self.classify)]:
            raise ValueError(
                f"report.looks: '{unknown[0]}' is neither an arm nor an experiment of this study; they are "
                f"{', '.join(dict.fromkeys((*self.arms, *self.classify)))}"
            )
        check_titles(self)
        for name, train in self.train_sr.items():
            check_patch(name, train, self.image)
            check_watched(f"train_sr.{name}", train.reads, train.watched, train.watched_key, self.starts)
        return self

    @model_validator(mode="after")
    def _experiments_fit(self) -> Params:
        for name, experiment in self.classify.items():
            check_experiment(name, experiment, self)
            recipe = experiment.classifier
            check_watched(f"classify.{name}.classifier", recipe.reads, recipe.weights, "weights", self.starts)
        for protocol in self.study.protocols:
            if self.classify and not self.experiments_under(protocol):
                raise ValueError(f"classify: no experiment runs under {protocol}, which study.protocol names")
        check_comparisons(self)
        check_sweep(self)
        return self

    @model_validator(mode="after")
    def _sr_seeds_fit(self) -> Params:
        check_sr_seeds(self)
        return self

    @model_validator(mode="after")
    def _claims_fit(self) -> Params:
        """What is run is what was declared."""
        if self.claims is not None:
            check_claims(self.claims, self)
        return self

    def protocols_of(self, experiment: str) -> tuple[Protocol, ...]:
        """The protocols that an experiment runs under."""
        return tuple(self.classify[experiment].protocols or self.study.protocols)

    def seeds_of(self, experiment: str) -> list[int]:
        """The seeds of an experiment's classifiers."""
        return self.classify[experiment].seeds or self.study.seeds

    @property
    def trained_networks(self) -> tuple[int | str | None, ...]:
        """What every SR method trains a network for: folds, or SR seeds, or None alone where it trains once."""
        return sr_folds(self.study, self.prepare) or self.study.networks

    def networks_of(self, *arms: str) -> tuple[int | None, ...]:
        """The SR seeds that some of the arms are made with; None alone where no training has made any, or once."""
        return self.study.networks if any(isinstance(self.source_arm(arm), Trained) for arm in arms) else (None,)

    def version(self, arm: str, network: int | None) -> str:
        """What the images of an arm by the networks of an SR seed are called; those of other arms are the arm's own."""
        return of_network(arm, network if network in self.networks_of(arm) else None)

    def seen_with(self, experiment: str, network: int | None) -> Experiment:
        """The experiment on the images by the networks of an SR seed."""
        settings = self.classify[experiment]
        train = [self.version(arm, network) for arm in settings.train]
        limit = {self.version(arm, network): most for arm, most in settings.limit.items()}
        return settings.model_copy(
            update={"train": train, "test": self.version(settings.test, network), "limit": limit}
        )

    def experiments_under(self, protocol: Protocol) -> tuple[str, ...]:
        """The experiments that run under a protocol, in the order of the file."""
        return tuple(name for name in self.classify if protocol in self.protocols_of(name))

    def comparable(self, first: str, second: str) -> bool:
        """Whether two experiments have a protocol and a seed in common."""
        seeds = set(self.seeds_of(first)) & set(self.seeds_of(second))
        return bool(seeds) and not set(self.protocols_of(first)).isdisjoint(self.protocols_of(second))

    def with_classifier(self, experiment: str, classifier: Classifier) -> Params:
        """The same with another recipe for one experiment."""
        changed = self.classify[experiment].model_copy(update={"classifier": classifier})
        return self.model_copy(update={"classify": {**self.classify, experiment: changed}})

    def computed_in(self, word: Precision) -> Params:
        """The same with `word` for every precision that is still auto."""
        params, trainings = self, dict(self.train_sr)
        for name, settings in trainings.items():
            if settings.precision == "auto":
                trainings[name] = settings.model_copy(update={"precision": word})
        for name, experiment in self.classify.items():
            if experiment.classifier.precision == "auto":
                params = params.with_classifier(name, experiment.classifier.model_copy(update={"precision": word}))
        return params.model_copy(update={"train_sr": trainings})

    @model_validator(mode="after")
    def _not_degraded_at_two_sizes(self) -> Params:
        if self.image.degraded_at is not None and self.degrade.on_the_fly:
            raise ValueError("degrade.on_the_fly = true: draws LR at the HR size; set image.degraded_at to null")
        return self

    @model_validator(mode="after")
    def _window_fits(self) -> Params:
        window, height, width = self.quality.ssim_window, self.image.height, self.image.width
        if window > min(height, width):
            largest = (min(height, width) - 1) // 2 * 2 + 1
            raise ValueError(
                f"quality.ssim_window = {window}: must be at most {largest}, as image.height is {height} and "
                f"image.width {width}"
            )
        network = self.quality.perceptual
        if network is not None and min(height, width) < LEAST_SIDE[network]:
            raise ValueError(
                f"quality.perceptual = {network}: takes images of at least {LEAST_SIDE[network]} pixels a side, and "
                f"image.height is {height} and image.width {width}: enlarge them, or set it to null"
            )
        return self

    def sr_seed(self, training: str) -> int:
        """The root seed of a training of SR: its own, or the study's."""
        seed = self.train_sr[training].seed
        return self.study.seed if seed is None else seed

    @property
    def sought_protocols(self) -> tuple[str, ...]:
        """The protocols whose sources the stage `provenance` finds."""
        return tuple(name for name, needs in self.find_sources.items() if needs.stage)

    @property
    def trains(self) -> bool:
        """Whether the study trains anything that a sweep could repeat."""
        return bool(self.classify or self.train_sr)

    @property
    def swept_arm(self) -> str:
        """The experiment, or the training of SR, that the sweep repeats."""
        known = tuple(self.classify if self.sweep.target == "classify" else self.train_sr)
        return self.sweep.arm or known[0]

    @property
    def swept_protocol(self) -> Protocol:
        """The protocol under which the sweep trains."""
        if self.sweep.target == "train_sr":
            return self.study.sr_protocol
        return self.sweep.protocol or self.protocols_of(self.swept_arm)[0]

    @property
    def swept_recipe(self) -> Classifier:
        """The recipe of the classifiers that the sweep trains."""
        recipe = self.classify[self.swept_arm].classifier
        return recipe if self.sweep.epochs is None else recipe.model_copy(update={"epochs": self.sweep.epochs})

    @property
    def swept_streams(self) -> tuple[SweptStream, ...]:
        """The streams that differ between the sweep's runs: those named, or all that its target draws from."""
        if self.sweep.streams is not None:
            return tuple(self.sweep.streams)
        still = {"split"} if split_is_fixed(self) else set()
        if self.sweep.target == "classify" and not self.classify[self.swept_arm].classifier.augmentations:
            still.add("augment")
        return tuple(each for each in STREAMS_OF[self.sweep.target] if each not in still)

    @model_validator(mode="after")
    def _measures_fit(self) -> Params:
        check_measures(self)
        return self
