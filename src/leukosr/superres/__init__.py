"""Super-resolution: networks by name, their losses and their weight files."""

from leukosr.superres.archs.real_esrgan import RRDBNet, UNetDiscriminatorSN
from leukosr.superres.archs.srgan import SRGANDiscriminator, SRGANGenerator

GENERATORS: dict[str, type[SRGANGenerator] | type[RRDBNet]] = {
    "srgan": SRGANGenerator,
    "real_esrgan": RRDBNet,
}

DISCRIMINATORS: dict[str, type[SRGANDiscriminator] | type[UNetDiscriminatorSN]] = {
    "srgan": SRGANDiscriminator,
    "real_esrgan": UNetDiscriminatorSN,
}

__all__ = ["DISCRIMINATORS", "GENERATORS"]
