"""Super-resolution: networks by architecture, methods that train them, and weight files."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leukosr.superres.networks import DISCRIMINATORS, GENERATORS

__all__ = ["DISCRIMINATORS", "GENERATORS"]


def __getattr__(name: str) -> Any:
    """The registries of networks; torch is loaded when they are asked for, as settings are read without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from leukosr.superres import networks

    return getattr(networks, name)
