"""A network that does not exist stops whichever stage comes first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from leukosr.classify.backbones import BACKBONES
from leukosr.classify.settings import SHIPPED_BACKBONES
from leukosr.cli import app
from leukosr.config import Params
from leukosr.config.named_backbones import refuse_unknown_backbones
from leukosr.errors import LeukoError

DEMO = ("study=demo", "budget=smoke")
STAGES = ("synthesize", "provenance", "prepare", "degrade", "train-sr --training srgan", "upscale --arm raw",
          "extract --cells raw", "classify --experiment raw", "sweep")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "told"),
    [("resnet5", "did you mean resnet50"), ("timm/resnet5", "did you mean"), ("timm/resnet18.x", "tag")],
)
def test_the_key_of_an_unknown_network_is_named(compose_params: Callable[..., Params], name: str, told: str) -> None:
    expected = rf"params\.yaml: classify\.\w+\.classifier\.backbone: '{name}' is not a .*{told}"
    with pytest.raises(LeukoError, match=expected):
        refuse_unknown_backbones(compose_params(*DEMO, f"classifier.backbone={name}"))


@pytest.mark.parametrize("command", STAGES)
def test_every_stage_that_training_follows_refuses_an_unknown_network(
    compose_raw: Callable[..., Any], outside: Path, command: str
) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(compose_raw(*DEMO, "classifier.backbone=resnet5")))
    result = CliRunner().invoke(app, command.split())
    assert "classifier.backbone: 'resnet5' is not a supported classifier" in str(result.exception), result.output
    assert [path.name for path in outside.iterdir()] == ["params.yaml"]


def test_known_networks_pass(compose_params: Callable[..., Params]) -> None:
    refuse_unknown_backbones(compose_params(*DEMO, "classifier.backbone=resnet18"))
    refuse_unknown_backbones(compose_params(*DEMO, "classifier.backbone=timm/resnet18.a1_in1k"))


def test_networks_that_need_no_check_are_known() -> None:
    assert BACKBONES.keys() >= SHIPPED_BACKBONES
