"""A trained geometry prior as part of another network."""

from __future__ import annotations

from pathlib import Path

from leukosr.engine.weights import first_difference
from leukosr.errors import LeukoError
from leukosr.superres.networks import Generator
from leukosr.superres.weights import load_generator


def put_prior_into(network: Generator, weights: Path) -> None:
    """Copy the U-Net of a trained `geometry_prior` to `network.prior` and freeze it.

    Raises LeukoError for weights of another network, scale or width.
    """
    loaded = load_generator(weights)
    if (loaded.architecture, loaded.scale) != ("geometry_prior", network.scale):
        raise LeukoError(
            f"{weights} holds {loaded.architecture} x{loaded.scale}, expected geometry_prior x{network.scale}: choose "
            "another prior"
        )
    prior, trained = network.get_submodule("prior"), loaded.model.get_submodule("prior").state_dict()
    if difference := first_difference(prior.state_dict(), trained):
        raise LeukoError(
            f"{weights} holds a prior of another width ({difference}): set generator.prior_features to "
            f"{loaded.arguments['prior_features']}"
        )
    prior.load_state_dict(trained)
    prior.requires_grad_(False)
