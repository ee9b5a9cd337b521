"""The super-resolution methods by name: a class each, whose fields are the settings of a training in params.yaml."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from leukosr.superres.methods.distil import Distil
from leukosr.superres.methods.geometry_prior import GeometryPrior, NonePrior, OraclePrior
from leukosr.superres.methods.method import TrainSR
from leukosr.superres.methods.pixelwise import SRCNN, VDSR, SRResNet
from leukosr.superres.methods.real_esrgan import Denoise, RealESRGAN
from leukosr.superres.methods.srgan import SRGAN
from leukosr.superres.methods.srgan_keras import SRGANKeras
from leukosr.superres.methods.task_driven import TaskDriven
from leukosr.superres.methods.vgg_gan import SFTGAN, SFTGANPrior, SRGANLuminance

METHODS: dict[str, type[TrainSR]] = {
    "srgan": SRGAN,
    "srgan_keras": SRGANKeras,
    "real_esrgan": RealESRGAN,
    "srresnet": SRResNet,
    "distil": Distil,
    "srcnn": SRCNN,
    "vdsr": VDSR,
    "srgan_luminance": SRGANLuminance,
    "sftgan": SFTGAN,
    "sftgan_prior": SFTGANPrior,
    "none_prior": NonePrior,
    "geometry_prior": GeometryPrior,
    "oracle_prior": OraclePrior,
    "denoise": Denoise,
    "task_driven": TaskDriven,
}

if TYPE_CHECKING:
    AnyTrainSR = TrainSR
else:  # the union over the registry, told apart by `method`
    AnyTrainSR = Annotated[reduce(or_, METHODS.values()), Field(discriminator="method")]

__all__ = ["METHODS", "AnyTrainSR"]
