"""How LR images are made from HR ones: degradations by name, and the randomness of one image.

A degradation is a class with a class attribute `Settings` (a frozen dataclass, the argument of the class, whose fields
are the keys of `degrade` in params.yaml) and a call `(hr: uint8 RGB HWC, rng: numpy.random.Generator) -> uint8 RGB HWC`
of size HR / scale, rounded up.
"""

import hashlib
from typing import Any, ClassVar, Protocol

import numpy as np

from leukosr.degradation.bicubic import Bicubic, BicubicSettings
from leukosr.degradation.capstone import Capstone, CapstoneSettings
from leukosr.degradation.checks import Image8
from leukosr.degradation.plain import Plain, PlainSettings
from leukosr.degradation.second_order import SecondOrder, SecondOrderSettings


class Degradation(Protocol):
    """What every class in `DEGRADATIONS` offers."""

    Settings: ClassVar[type[Any]]

    def __init__(self, settings: Any) -> None:
        """Take an instance of `Settings`."""

    def __call__(self, hr: Image8, rng: np.random.Generator) -> Image8:
        """Make the LR image of `hr`, uint8 RGB HWC both."""
        ...


DEGRADATIONS: dict[str, type[Degradation]] = {
    "capstone": Capstone,
    "bicubic": Bicubic,
    "second_order": SecondOrder,
    "plain": Plain,
}


def image_rng(seed: int, image_id: str) -> np.random.Generator:
    """The generator for one image's degradation: depends on nothing but `seed` and `image_id`.

    Hence neither worker count nor order changes an image. SHA-256, not Python's `hash`, which differs
    from process to process.
    """
    digest = hashlib.sha256(f"{seed}/{image_id}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


__all__ = [
    "DEGRADATIONS",
    "Bicubic",
    "BicubicSettings",
    "Capstone",
    "CapstoneSettings",
    "Plain",
    "PlainSettings",
    "SecondOrder",
    "SecondOrderSettings",
    "image_rng",
]
