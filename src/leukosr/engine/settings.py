"""What trainings and image stages run on."""

from __future__ import annotations

from typing import Literal

from leukosr.settings import NonNegative, PositiveInt, Section


class Runtime(Section):
    """What changes speed, and numbers by no more than rounding."""

    device: Literal["auto", "cpu", "cuda"]
    workers: Literal["auto"] | PositiveInt
    devices: PositiveInt
    nodes: PositiveInt
    optuna_storage: str
    sweep_workers: PositiveInt
    heartbeat_seconds: PositiveInt
    compile: Literal["auto", "always", "never"]
    checkpoint_seconds: NonNegative
    log_models: bool
