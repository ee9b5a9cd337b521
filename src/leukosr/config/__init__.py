"""params.yaml as typed, validated, frozen objects. Every error names the key, the value and what is allowed.

It embeds the settings of the domain packages, which are written beside what they set.
"""

from leukosr.classify.settings import Architecture, Classifier, Experiment, Head
from leukosr.config.arms import (
    Arm,
    ByClass,
    ByFile,
    ByTraining,
    Extraction,
    Filtered,
    Generated,
    Recoloured,
    Resampled,
    Trained,
    Untouched,
)
from leukosr.config.load import load_params, parse_params
from leukosr.config.params import Params
from leukosr.config.study import ArmLook, Budget, Statement
from leukosr.config.sweep import STREAMS_OF
from leukosr.data.augment import Augmentation, Flip, FlipsAndLight, Warp
from leukosr.data.settings import PerClass, Prepare, Provenance, SourceDisjoint
from leukosr.data.study import Study
from leukosr.data.synthetic.settings import SyntheticSet
from leukosr.engine.settings import Runtime
from leukosr.evaluate.claims import Claim, Claims
from leukosr.evaluate.settings import Quality
from leukosr.images.file_format import Jpeg
from leukosr.images.settings import Image
from leukosr.settings import Precision, Protocol
from leukosr.superres.methods.method import TrainSR, TrainStage

__all__ = [
    "STREAMS_OF",
    "Architecture",
    "Arm",
    "ArmLook",
    "Augmentation",
    "Budget",
    "ByClass",
    "ByFile",
    "ByTraining",
    "Claim",
    "Claims",
    "Classifier",
    "Experiment",
    "Extraction",
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
    "Recoloured",
    "Resampled",
    "Runtime",
    "SourceDisjoint",
    "Statement",
    "Study",
    "SyntheticSet",
    "TrainSR",
    "TrainStage",
    "Trained",
    "Untouched",
    "Warp",
    "load_params",
    "parse_params",
]
