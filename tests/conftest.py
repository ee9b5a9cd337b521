"""Fixtures that several test packages share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from leukosr.config import Params, parse_params

CONF = Path(__file__).resolve().parent.parent / "conf"


@pytest.fixture(scope="session")
def compose_raw() -> Callable[..., Any]:
    """What `dvc exp run -S …` writes to params.yaml, parsed, before validation."""

    def composed(*overrides: str) -> Any:
        with initialize_config_dir(str(CONF), version_base=None):
            return OmegaConf.to_container(compose("config", overrides=list(overrides)), resolve=True)

    return composed


@pytest.fixture(scope="session")
def compose_params(compose_raw: Callable[..., Any]) -> Callable[..., Params]:
    """Params composed from conf/ with the given overrides."""
    return cache(lambda *overrides: parse_params(compose_raw(*overrides), "conf"))
