"""What trainings and image stages run on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from leukosr.settings import NonNegative, PositiveInt, Section


class Runtime(Section):
    """What changes speed, and numbers by no more than rounding."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        description="where networks compute; auto: on CUDA where there is a device"
    )
    workers: Literal["auto"] | PositiveInt = Field(description="processes that make images; auto: one per core")
    devices: PositiveInt = Field(
        description="processes that train together on one machine, each on a CUDA device of its own or on the CPU"
    )
    nodes: PositiveInt = Field(description="machines that train together")
    optuna_storage: str = Field(
        description="where trials are kept: an Optuna URL, or journal:PATH; LEUKOSR_OPTUNA_STORAGE takes precedence"
    )
    sweep_workers: PositiveInt = Field(
        description="processes that make the trials of a sweep; `leukosr sweep --workers` takes precedence"
    )
    heartbeat_seconds: PositiveInt = Field(
        description="seconds between two signs of life of a trial; after three silent ones it goes to another process"
    )
    compile: Literal["auto", "always", "never"] = Field(
        description="when networks are compiled by torch.compile; auto: on CUDA, for trainings of 2,000 steps or more"
    )
    checkpoint_seconds: NonNegative = Field(description="seconds between two saved states of a training")
    log_models: bool = Field(description="whether MLflow keeps weights as models that can be loaded")
