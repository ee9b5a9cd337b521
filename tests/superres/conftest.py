"""The settings of every registered method, from its own file in conf/method."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from leukosr.config import Params, TrainSR


@pytest.fixture(scope="session")
def published(compose_params: Callable[..., Params]) -> Callable[[str], TrainSR]:
    """The settings of a method at smoke, by its name."""
    return lambda method: compose_params("arms=[raw]", f"+method@train_sr.one={method}").train_sr["one"]
