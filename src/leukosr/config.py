"""params.yaml as typed, validated, frozen objects. Every error names the key, the value and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from leukosr.errors import LeukoError

LEARNED_ARMS = ("srgan", "real_esrgan")
PLAIN_ARMS = ("raw", "bicubic", "ground_truth")

Protocol = Literal["paper", "source_disjoint"]
PROTOCOLS: tuple[Protocol, ...] = ("paper", "source_disjoint")

PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Precision = Literal["fp32", "bf16"]
PretrainedWeights = Literal["none", "imagenet"]
Backbone = Literal["resnet50", "resnet18"]
InputSize = tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]


class Section(BaseModel):
    """A part of params.yaml: immutable, and an unknown key, NaN or infinity is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Study(Section):
    """What is asked: which set, how many runs, which protocol."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    title: str
    seed: Count
    seeds: Annotated[list[Count], Field(min_length=1)]
    protocol: Literal["paper", "source_disjoint", "both"]
    primary: Literal["macro_f1", "accuracy"]
    comparisons: Annotated[list[tuple[str, str]], Field(min_length=1)] | None
    published: Literal["case1", "case2"] | None
    caveat: str | None

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """The protocols that the classifiers run under."""
        return PROTOCOLS if self.protocol == "both" else (self.protocol,)

    @property
    def sr_protocol(self) -> Protocol:
        """The protocol whose SR part trains the SR methods: the stricter one of those that run."""
        return self.protocols[-1]

    @model_validator(mode="after")
    def _distinct_seeds(self) -> Study:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ from each other, got {self.seeds}")
        return self


class PerClass(Section):
    """At most so many images of each class play a role; null takes all."""

    sr_train: PositiveInt | None
    sr_val: PositiveInt
    classifier: Annotated[int, Field(ge=2)] | None
    reference: Count | None


class BudgetSRGAN(Section):
    """Cost of SRGAN training."""

    features: PositiveInt
    blocks: PositiveInt
    discriminator_features: PositiveInt
    patch: Annotated[int, Field(ge=32)]
    batch: PositiveInt
    iterations: PositiveInt
    validate_every: PositiveInt


class BudgetRealESRGAN(Section):
    """Cost of the two Real-ESRGAN stages."""

    features: PositiveInt
    blocks: PositiveInt
    growth: PositiveInt
    discriminator_features: PositiveInt
    patch: Annotated[int, Field(ge=32)]
    batch: PositiveInt
    net_iterations: PositiveInt
    gan_iterations: PositiveInt
    milestones: list[PositiveInt]
    validate_every: PositiveInt


class BudgetClassify(Section):
    """Cost of classifier training."""

    backbone: Backbone
    size: InputSize | None
    epochs: PositiveInt
    batch: PositiveInt


class BudgetSweep(Section):
    """How many trainings a sweep may take, and how long each."""

    learning_rates: Annotated[list[LearningRate], Field(min_length=1)]
    runs: PositiveInt
    epochs: PositiveInt


class Budget(Section):
    """What a study may cost. The stage sections take their values from here."""

    name: str
    note: str
    precision: Precision
    pretrained: PretrainedWeights
    per_class: PerClass
    seeds: list[Count]
    classify: BudgetClassify
    sweep: BudgetSweep
    srgan: BudgetSRGAN
    real_esrgan: BudgetRealESRGAN


class SyntheticSet(Section):
    """One synthetic set of smears to draw."""

    folder: str
    height: Annotated[int, Field(ge=64)]
    width: Annotated[int, Field(ge=64)]
    train_sources: PositiveInt
    test_sources: PositiveInt
    views: PositiveInt
    seed: Count


class SourceDisjoint(Section):
    """Fractions of each class's sources that play each role; they sum to 1. `folds` pools the last three."""

    sr_train: Fraction
    classifier_train: Fraction
    classifier_val: Fraction
    classifier_test: Fraction
    folds: Annotated[int, Field(ge=2, le=20)] | None

    @model_validator(mode="after")
    def _whole(self) -> SourceDisjoint:
        total = self.sr_train + self.classifier_train + self.classifier_val + self.classifier_test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the four fractions must sum to 1, they sum to {total:g}")
        return self


class Prepare(Section):
    """Where the images are, which are refused, and how roles are given."""

    root: str
    train: str | None
    test: str | None
    reference: str | None
    classes: list[str] | None
    bad_images: Literal["stop", "leave_out"]
    max_pixels: PositiveInt
    sr_fraction: Fraction
    classifier_train_fraction: Fraction
    source_disjoint: SourceDisjoint
    sources: str
    per_class: PerClass

    @model_validator(mode="after")
    def _train_with_test(self) -> Prepare:
        if (self.train is None) != (self.test is None):
            raise ValueError("train and test go together: name both folders or neither")
        return self


class Provenance(Section):
    """Which images are searched for common sources, and what counts as one.

    The limits of `views` are those of `leukosr.data.provenance.geometry.Limits`.
    """

    root: str
    train: str | None
    test: str | None
    reference: str | None
    classes: list[str] | None
    max_pixels: PositiveInt
    sr_fraction: Fraction
    per_class: PerClass
    seed: Count
    max_features: Annotated[int, Field(ge=20)]
    neighbours: PositiveInt
    inliers: Annotated[int, Field(ge=4)]
    tolerance: Annotated[float, Field(gt=0)]
    similarity: Fraction
    overlap: Fraction
    zoom: Annotated[float, Field(gt=1)]
    stretch: Annotated[float, Field(gt=1)]


class FindSources(Section):
    """What a protocol needs: the entries of the stage `provenance`, and the folder or root that `prepare` reads."""

    stage: dict[str, Provenance]
    table: str


class Image(Section):
    """High-resolution size in pixels, scale and the one resampling kernel."""

    height: Annotated[int, Field(ge=8, le=8192)]
    width: Annotated[int, Field(ge=8, le=8192)]
    scale: Literal[2, 4, 8]
    fit: Literal["resize", "center_crop"]
    kernel: Literal["opencv_bicubic", "pillow_bicubic"]

    @model_validator(mode="after")
    def _divisible(self) -> Image:
        for name, side in (("height", self.height), ("width", self.width)):
            if side % self.scale:
                lower = side - side % self.scale
                raise ValueError(
                    f"{name} {side} is not divisible by scale {self.scale}: use {lower} or {lower + self.scale}"
                )
        return self


class CapstoneDegradation(Section):
    """The case studies' degradation (000_…)."""

    method: Literal["capstone"]
    noise: Literal["wrapped", "gaussian"]
    noise_sigma: NonNegative
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    blur_before: Annotated[int, Field(ge=1)]
    blur_after: Annotated[int, Field(ge=1)]


class BicubicDegradation(Section):
    """Plain bicubic down-sampling."""

    method: Literal["bicubic"]


Probability = Annotated[float, Field(ge=0, le=1)]
Range = tuple[NonNegative, NonNegative]
KernelSizes = Annotated[list[Annotated[int, Field(ge=3)]], Field(min_length=1)]


class KernelMix(Section):
    """Probabilities of the blur kernels."""

    isotropic: Probability
    anisotropic: Probability
    generalised_isotropic: Probability
    generalised_anisotropic: Probability
    plateau_isotropic: Probability
    plateau_anisotropic: Probability


class ResizeMix(Section):
    """Probabilities of enlarging, shrinking and keeping the size."""

    up: Probability
    down: Probability
    keep: Probability


class DegradationRound(Section):
    """One round of the second-order degradation; the fields are those of `leukosr.degradation.rounds.Round`."""

    blur_probability: Probability
    sigma: Range
    resize: ResizeMix
    resize_scale: Range
    gaussian_sigma: Range
    poisson_scale: Range
    kernel_sizes: KernelSizes
    kernels: KernelMix
    sinc_probability: Probability
    generalised_beta: Range
    plateau_beta: Range
    gaussian_probability: Probability
    gray_probability: Probability
    jpeg_quality: tuple[Annotated[int, Field(ge=1, le=100)], Annotated[int, Field(ge=1, le=100)]]


class SecondOrderDegradation(Section):
    """Real-ESRGAN's second-order degradation (arXiv 2107.10833, section 3)."""

    method: Literal["second_order"]
    first: DegradationRound
    second: DegradationRound
    final_sinc_probability: Probability
    final_kernel_sizes: KernelSizes
    sinc_before_jpeg_probability: Probability


Degrade = Annotated[CapstoneDegradation | BicubicDegradation | SecondOrderDegradation, Field(discriminator="method")]


class TrainStage(Section):
    """One stretch of SR training with one loss and one optimiser."""

    name: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    loss: Literal["l1", "srgan", "real_esrgan"]
    iterations: PositiveInt
    learning_rate: LearningRate
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    milestones: list[PositiveInt]
    gamma: Annotated[float, Field(gt=0, le=1)]


class LossWeights(Section):
    """Weights of the parts of the generator's loss."""

    image: NonNegative
    adversarial: NonNegative
    perceptual: NonNegative
    total_variation: NonNegative


class TrainSR(Section):
    """How one SR method trains."""

    generator: dict[str, PositiveInt]
    discriminator: dict[str, PositiveInt]
    init: str | None
    patch: Annotated[int, Field(ge=32)]
    batch: PositiveInt
    stages: Annotated[list[TrainStage], Field(min_length=1)]
    losses: LossWeights
    perceptual_weights: PretrainedWeights
    sharpen_target: bool
    ema: Annotated[float, Field(ge=0, lt=1)]
    flips: bool
    validate_every: PositiveInt
    precision: Precision
    channels_last: bool

    @model_validator(mode="after")
    def _distinct_stages(self) -> TrainSR:
        if len({stage.name for stage in self.stages}) != len(self.stages):
            raise ValueError("the names of the stages must differ from each other")
        return self


class UpscalePlain(Section):
    """An arm that needs no training; `reads` is the input it depends on."""

    reads: str


class UpscaleLearned(Section):
    """An arm made by a trained generator; `reads` is the folder of its weights."""

    reads: str
    weights: Literal["last", "best"]
    tile: Count
    overlap: Count
    batch: PositiveInt
    precision: Precision
    channels_last: bool


def _kind_of_arm(settings: Any) -> str:
    """Which kind of arm the keys speak of, so that an error is told of that kind alone."""
    keys = settings if isinstance(settings, dict) else getattr(type(settings), "model_fields", ())
    return "learned" if (UpscaleLearned.model_fields.keys() - UpscalePlain.model_fields.keys()) & set(keys) else "plain"


Upscale = Annotated[
    Annotated[UpscalePlain, Tag("plain")] | Annotated[UpscaleLearned, Tag("learned")], Discriminator(_kind_of_arm)
]


class Quality(Section):
    """How images are compared with the ground truth."""

    ssim_window: Annotated[int, Field(ge=3)]
    channels: Literal["rgb", "luminance"]

    @model_validator(mode="after")
    def _odd(self) -> Quality:
        if self.ssim_window % 2 == 0:
            raise ValueError(f"ssim_window must be odd, got {self.ssim_window}")
        return self


class Classify(Section):
    """How a classifier trains; an image larger than `size` (height, width) is shrunk to it."""

    backbone: Backbone
    size: InputSize | None
    weights: PretrainedWeights
    learning_rate: LearningRate
    warm_up: Annotated[float, Field(ge=0, lt=1)]
    decay: Literal["none", "cosine"]
    weight_decay: NonNegative
    augmentation: Annotated[float, Field(ge=0, le=1)]
    ema: Annotated[float, Field(ge=0, lt=1)]
    ensemble: PositiveInt
    epochs: PositiveInt
    batch: Annotated[int, Field(ge=2)]  # batch norm cannot train on one image
    precision: Precision
    channels_last: bool


SweptStream = Literal["split", "sr_init", "init", "order", "augment"]
STREAMS_OF: dict[str, tuple[SweptStream, ...]] = {
    "classify": ("split", "init", "order", "augment"),
    "train_sr": ("sr_init", "order", "augment"),
}
METRICS_OF = {"classify": ("accuracy", "macro_f1"), "train_sr": ("psnr", "ssim")}
RateRange = tuple[LearningRate, LearningRate]


class SearchSpace(Section):
    """What a search draws from; a range from 0 to 0 leaves a setting as it is."""

    learning_rate: RateRange
    weight_decay: tuple[NonNegative, NonNegative]
    augmentation: Probability

    @model_validator(mode="after")
    def _rising(self) -> SearchSpace:
        for name, (low, high) in (("learning_rate", self.learning_rate), ("weight_decay", self.weight_decay)):
            if low > high or (low == 0 < high):
                raise ValueError(f"{name} {[low, high]} must be two numbers above 0, the lower one first")
        return self


class Sweep(Section):
    """Many trainings of one thing, to see how much chance moves it, or to tune it."""

    target: Literal["classify", "train_sr"]
    arm: str | None
    protocol: Protocol | None
    design: Literal["factorial", "streams", "search"]
    metric: Literal["accuracy", "macro_f1", "psnr", "ssim"] | None
    learning_rates: Annotated[list[LearningRate], Field(min_length=1)]
    runs: PositiveInt
    repeats: Count
    streams: Annotated[list[SweptStream], Field(min_length=1)] | None
    trials: PositiveInt
    space: SearchSpace
    epochs: PositiveInt

    @property
    def objective(self) -> str:
        """The metric whose variance is taken apart, or that a search raises."""
        return self.metric or METRICS_OF[self.target][0]

    @model_validator(mode="after")
    def _fits(self) -> Sweep:
        for key, chosen, allowed in (
            ("streams", self.streams or (), STREAMS_OF[self.target]),
            ("metric", (self.objective,), METRICS_OF[self.target]),
        ):
            for each in chosen:
                if each not in allowed:
                    raise ValueError(f"{key}: '{each}' is none of {', '.join(allowed)}, those of {self.target}")
        for key, values in (("streams", self.streams or []), ("learning_rates", self.learning_rates)):
            if len(set(values)) != len(values):
                raise ValueError(f"{key} must differ from each other, got {list(values)}")
        if self.design == "streams" and len(self.learning_rates) != 1:
            raise ValueError(f"the design 'streams' takes one of learning_rates, got {self.learning_rates}")
        return self


class Report(Section):
    """What the report page shows."""

    grid_cells: PositiveInt
    crop: Fraction


class Runtime(Section):
    """What changes speed and never a number."""

    device: Literal["auto", "cpu", "cuda"]
    workers: Literal["auto"] | PositiveInt
    devices: PositiveInt
    nodes: PositiveInt
    optuna_storage: str
    sweep_workers: PositiveInt
    heartbeat_seconds: PositiveInt
    compile: Literal["auto", "always", "never"]
    checkpoint_seconds: NonNegative
    log_models: bool


class Params(Section):
    """All of params.yaml."""

    study: Study
    budget: Budget
    synthesize: dict[str, SyntheticSet]
    find_sources: dict[str, FindSources]
    provenance: dict[str, Provenance]
    prepare: Prepare
    image: Image
    degrade: Degrade
    train_sr: dict[str, TrainSR]
    upscale: dict[str, Upscale]
    quality: Quality
    classify: Classify
    sweep: Sweep
    report: Report
    runtime: Runtime

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms of the study in the order of its file."""
        return tuple(self.upscale)

    @model_validator(mode="after")
    def _arms_fit(self) -> Params:
        allowed = ", ".join((*PLAIN_ARMS, *LEARNED_ARMS))
        for arm in self.upscale:
            if arm not in PLAIN_ARMS + LEARNED_ARMS:
                raise ValueError(f"upscale: unknown arm '{arm}'; known are {allowed}")
            learned = isinstance(self.upscale[arm], UpscaleLearned)
            if learned != (arm in LEARNED_ARMS):
                raise ValueError(f"upscale.{arm}: the settings are those of the wrong kind of arm")
            if learned and arm not in self.train_sr:
                raise ValueError(f"train_sr.{arm}: missing, though upscale.{arm} needs its weights")
        for pair in self.study.comparisons or ():
            if len(set(pair)) != 2 or not set(pair) <= set(self.upscale):
                raise ValueError(
                    f"study.comparisons: {list(pair)} must be two different arms of {', '.join(self.upscale)}"
                )
        self._check_sweep()
        for method, train in self.train_sr.items():
            if method not in LEARNED_ARMS:
                raise ValueError(f"train_sr: unknown method '{method}'; known are {', '.join(LEARNED_ARMS)}")
            _check_patch(method, train, self.image)
        return self

    @property
    def swept_arm(self) -> str:
        """The arm, or the SR method, that the sweep trains."""
        known = self.arms if self.sweep.target == "classify" else tuple(self.train_sr)
        return self.sweep.arm or known[0]

    @property
    def swept_protocol(self) -> Protocol:
        """The protocol under which the sweep trains."""
        if self.sweep.target == "train_sr":
            return self.study.sr_protocol
        return self.sweep.protocol or self.study.protocols[0]

    @property
    def swept_streams(self) -> tuple[SweptStream, ...]:
        """The streams that differ between the sweep's runs: those named, or all that its target draws from."""
        if self.sweep.streams is not None:
            return tuple(self.sweep.streams)
        still = self.sweep.target == "classify" and self.classify.augmentation == 0
        return tuple(each for each in STREAMS_OF[self.sweep.target] if not (still and each == "augment"))

    def _check_sweep(self) -> None:
        known = self.arms if self.sweep.target == "classify" else tuple(self.train_sr)
        if not known:
            raise ValueError("sweep.target: this study trains no SR method; set it to classify")
        if self.sweep.arm is not None and self.sweep.arm not in known:
            raise ValueError(
                f"sweep.arm: unknown '{self.sweep.arm}'; known to {self.sweep.target} are {', '.join(known)}"
            )
        by_source = self.sweep.target == "classify" and self.swept_protocol == "source_disjoint"
        if self.sweep.design == "search" and by_source and self.prepare.source_disjoint.folds is not None:
            raise ValueError(
                "sweep.design: a search needs validation images, and with prepare.source_disjoint.folds every image of "
                "the classifiers is tested: set folds to null, or the design to factorial or streams"
            )
        if self.swept_protocol not in self.study.protocols:
            raise ValueError(
                f"sweep.protocol: '{self.sweep.protocol}' is none of the study's, {', '.join(self.study.protocols)}"
            )


def _check_patch(method: str, train: TrainSR, image: Image) -> None:
    """A patch must tile into whole LR pixels."""
    if train.patch % image.scale:
        lower = train.patch - train.patch % image.scale
        raise ValueError(
            f"train_sr.{method}.patch {train.patch} is not divisible by image.scale {image.scale}: "
            f"use {max(lower, 32)} or {lower + image.scale}"
        )


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate params.yaml.

    Raises LeukoError that names the file, the key, the value and what is allowed.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LeukoError(
            f"{path} does not exist: run the command in the root of the project (`git checkout params.yaml` "
            "brings the committed one back)"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LeukoError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    return parse_params(raw, str(path))


def parse_params(raw: Any, origin: str) -> Params:
    """Validate a parsed params.yaml; `origin` is named in the LeukoError."""
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise LeukoError(f"{origin}: " + "; ".join(_explain(problem, raw) for problem in error.errors())) from None


def _explain(problem: Any, raw: Any) -> str:
    """One pydantic problem as `key = value: what is allowed`."""
    key = ".".join(_key(problem, raw))
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}': remove it or correct its spelling"
    if problem["type"] == "missing":
        return f"key '{key}' is missing: add it"
    if problem["type"] == "union_tag_not_found":
        return f"key '{key}.method' is missing: add it"
    if problem["type"] == "union_tag_invalid":
        return f"{key}.method = {problem['ctx']['tag']!r}: input should be {problem['ctx']['expected_tags']}"
    value = problem["input"]
    shown = "" if isinstance(value, dict | BaseModel) else f" = {value!r}"
    return f"{key}{shown}: {message[:1].lower()}{message[1:]}" if key else message


def _key(problem: Any, raw: Any) -> list[str]:
    """Where the problem stands in the file: pydantic's location without the names of the types it tried."""
    key = []
    for part in problem["loc"]:
        if isinstance(raw, dict | list) and part in (raw if isinstance(raw, dict) else range(len(raw))):
            raw = raw[part]
        elif problem["type"] != "missing" or part != problem["loc"][-1]:
            continue
        key.append(str(part))
    return key
