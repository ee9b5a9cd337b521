"""The super-resolution methods by name: a class each, whose fields are the settings of a training in params.yaml."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from leukosr.superres.methods.distil import Distil
from leukosr.superres.methods.method import TrainSR
from leukosr.superres.methods.real_esrgan import RealESRGAN
from leukosr.superres.methods.srgan import SRGAN
from leukosr.superres.methods.srgan_keras import SRGANKeras
from leukosr.superres.methods.srresnet import SRResNet

METHODS: dict[str, type[TrainSR]] = {
    "srgan": SRGAN,
    "srgan_keras": SRGANKeras,
    "real_esrgan": RealESRGAN,
    "srresnet": SRResNet,
    "distil": Distil,
}

if TYPE_CHECKING:
    AnyTrainSR = TrainSR
else:  # the union over the registry, told apart by `method`
    AnyTrainSR = Annotated[reduce(or_, METHODS.values()), Field(discriminator="method")]

__all__ = ["METHODS", "AnyTrainSR"]
