"""The super-resolution networks by architecture; a file holds a generator and, if any, its discriminator."""

from leukosr.superres.networks.compact import Compact
from leukosr.superres.networks.contract import Contract, Generator, GeneratorNetwork, Network
from leukosr.superres.networks.real_esrgan import RRDBNet, UNetDiscriminatorSN
from leukosr.superres.networks.srgan import SRGANDiscriminator, SRGANGenerator
from leukosr.superres.networks.srgan_keras import SRGANKerasDiscriminator, SRGANKerasGenerator

GENERATORS: dict[str, GeneratorNetwork] = {
    "srgan": GeneratorNetwork(SRGANGenerator, 734_219, {"features": 8, "blocks": 2}, Contract((2, 4, 8))),
    "srgan_keras": GeneratorNetwork(SRGANKerasGenerator, 2_040_067, {"features": 8, "blocks": 2}, Contract((4,))),
    "real_esrgan": GeneratorNetwork(
        RRDBNet, 16_697_987, {"features": 8, "blocks": 2, "growth": 4}, Contract((2, 4, 8))
    ),
    "compact": GeneratorNetwork(Compact, 621_424, {"features": 8, "convolutions": 2}, Contract((2, 4, 8))),
}

DISCRIMINATORS: dict[str, Network] = {
    "srgan": Network(SRGANDiscriminator, 5_215_425, {"features": 4}),
    "srgan_keras": Network(SRGANKerasDiscriminator, 38_245_569, {"features": 4, "side": 32}),
    "real_esrgan": Network(UNetDiscriminatorSN, 4_376_897, {"features": 4}),
}

__all__ = ["DISCRIMINATORS", "GENERATORS", "Contract", "Generator", "GeneratorNetwork", "Network"]
