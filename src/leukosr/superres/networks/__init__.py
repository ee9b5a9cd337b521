"""The super-resolution networks by architecture; a file holds a generator and, if any, its discriminator."""

from functools import partial

from leukosr.superres.networks.compact import Compact
from leukosr.superres.networks.contract import Contract, Generator, GeneratorNetwork, Network
from leukosr.superres.networks.denoiser import Denoiser
from leukosr.superres.networks.prior import CLASSES, GeometryPrior, OraclePrior, PriorSR, SFTGANPrior
from leukosr.superres.networks.real_esrgan import RRDBNet, UNetDiscriminatorSN
from leukosr.superres.networks.sftgan import SFTGAN
from leukosr.superres.networks.srcnn import SRCNN
from leukosr.superres.networks.srgan import SRGANDiscriminator, SRGANGenerator
from leukosr.superres.networks.srgan_keras import SRGANKerasDiscriminator, SRGANKerasGenerator
from leukosr.superres.networks.srresnet import SRResNet
from leukosr.superres.networks.vdsr import VDSR

_LUMINANCE = Contract((2, 4, 8), channels="luminance")
_ENLARGED = Contract((2, 4, 8), channels="luminance", enlarged=True)
_GUIDED = Contract((2, 4, 8), channels="luminance", enlarged=True, masks=CLASSES)

GENERATORS: dict[str, GeneratorNetwork] = {
    "srgan": GeneratorNetwork(SRGANGenerator, 734_219, {"features": 8, "blocks": 2}, Contract((2, 4, 8))),
    "srgan_keras": GeneratorNetwork(SRGANKerasGenerator, 2_040_067, {"features": 8, "blocks": 2}, Contract((4,))),
    "real_esrgan": GeneratorNetwork(
        RRDBNet, 16_697_987, {"features": 8, "blocks": 2, "growth": 4}, Contract((2, 4, 8))
    ),
    "compact": GeneratorNetwork(Compact, 621_424, {"features": 8, "convolutions": 2}, Contract((2, 4, 8))),
    "srcnn": GeneratorNetwork(SRCNN, 57_281, {"features": 2}, _ENLARGED),
    "vdsr": GeneratorNetwork(VDSR, 664_704, {"features": 8, "convolutions": 2}, _ENLARGED),
    "srresnet": GeneratorNetwork(SRResNet, 1_528_724, {"features": 8, "blocks": 2}, _LUMINANCE),
    "sftgan": GeneratorNetwork(SFTGAN, 1_833_763, {"features": 4, "blocks": 1}, Contract((2, 4, 8), masks=8)),
    "sftgan_prior": GeneratorNetwork(
        SFTGANPrior, 9_580_804, {"features": 4, "blocks": 1, "prior_features": 2}, _LUMINANCE
    ),
    "none_prior": GeneratorNetwork(PriorSR, 517_633, {"features": 4, "blocks": 1}, _ENLARGED),
    "geometry_prior": GeneratorNetwork(
        GeometryPrior, 8_537_444, {"features": 4, "blocks": 1, "prior_features": 2}, _ENLARGED
    ),
    "oracle_prior": GeneratorNetwork(OraclePrior, 777_857, {"features": 4, "blocks": 1}, _GUIDED),
    "denoiser": GeneratorNetwork(Denoiser, 16_697_987, {"features": 8, "blocks": 2, "growth": 4}, Contract((2, 4, 8))),
}

_OF_LUMINANCE = Network(partial(SRGANDiscriminator, channels=1, logits=True), 5_214_273, {"features": 4})

DISCRIMINATORS: dict[str, Network] = {
    "srgan": Network(SRGANDiscriminator, 5_215_425, {"features": 4}),
    "srgan_keras": Network(SRGANKerasDiscriminator, 38_245_569, {"features": 4, "side": 32}),
    "real_esrgan": Network(UNetDiscriminatorSN, 4_376_897, {"features": 4}),
    "srresnet": _OF_LUMINANCE,
    "sftgan": _OF_LUMINANCE,
    "sftgan_prior": _OF_LUMINANCE,
}

__all__ = ["DISCRIMINATORS", "GENERATORS", "Contract", "Generator", "GeneratorNetwork", "Network"]
