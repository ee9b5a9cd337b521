"""params.yaml as typed, validated, frozen objects. Every error names the key, the value and what is allowed."""

from leukosr.config.arms import Arm, ByFile, ByTraining, Filtered, Generated, Jpeg, Resampled
from leukosr.config.classify import (
    STREAMS_OF,
    Architecture,
    Augmentation,
    Classifier,
    Experiment,
    Flip,
    FlipsAndLight,
    Head,
    Warp,
)
from leukosr.config.data import Image, Prepare, Provenance, Quality, SourceDisjoint, SyntheticSet
from leukosr.config.fields import Precision
from leukosr.config.load import load_params, parse_params
from leukosr.config.params import Params
from leukosr.config.study import Budget, PerClass, Protocol, Runtime, Study
from leukosr.config.yaml_file import read_yaml
from leukosr.superres.methods.method import TrainSR, TrainStage

__all__ = [
    "STREAMS_OF",
    "Architecture",
    "Arm",
    "Augmentation",
    "Budget",
    "ByFile",
    "ByTraining",
    "Classifier",
    "Experiment",
    "Filtered",
    "Flip",
    "FlipsAndLight",
    "Generated",
    "Head",
    "Image",
    "Jpeg",
    "Params",
    "PerClass",
    "Precision",
    "Prepare",
    "Protocol",
    "Provenance",
    "Quality",
    "Resampled",
    "Runtime",
    "SourceDisjoint",
    "Study",
    "SyntheticSet",
    "TrainSR",
    "TrainStage",
    "Warp",
    "load_params",
    "parse_params",
    "read_yaml",
]
