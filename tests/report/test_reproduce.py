"""The command on the page composes the very parameters of the study."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leukosr.config import Params, parse_params
from leukosr.report.reproduce import reproduction

CONF = Path(__file__).resolve().parents[2] / "conf"
SOURCES = "find_sources.source_disjoint.stage.images.per_class={sr_train:null,sr_val:4,classifier:null,reference:null}"


def overrides(command: str) -> list[str]:
    """What a shell hands to -S."""
    words = shlex.split(command)
    assert words[:3] == ["dvc", "exp", "run"]
    assert set(words[3::2]) == {"-S"}
    return words[4::2]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["study=demo"], ["study=demo", "budget=smoke"]),
        (["study=case1", "budget=cpu", "degrade=capstone_gaussian"],
         ["study=case1", "budget=cpu", "degrade.noise=gaussian"]),
        (["degrade=second_order", "classifier.epochs=10"],
         ["study=demo", "budget=smoke", "degrade=second_order", "classifier.epochs=10"]),
        (["study=case1", "budget=cpu_seeds", "study.protocol=both", "claims=null", "arms=[raw,bicubic]", SOURCES],
         ["study=case1", "budget=cpu_seeds", "claims=null", "arms=[raw,bicubic]", "study.protocol=both", SOURCES]),
        (["upscale.raw.file={jpeg: 90}", "upscale.bicubic.size=[64,64]"],
         ["study=demo", "budget=smoke", "upscale.raw.file={jpeg:90}", "upscale.bicubic.size=[64,64]"]),
        (["study.title='cells, mine: \"all\"'", "study.seeds=[3,1]", "sweep.learning_rates=[0.0003,1e-5]",
          "train_sr.srgan.start=null", "study.comparisons=[[srgan,raw]]"], None),
    ],
)  # fmt: skip
def test_the_command_composes_the_same_parameters(
    changes: list[str], expected: list[str] | None, compose_raw: Callable[..., Any]
) -> None:
    params = parse_params(compose_raw(*changes), "changed")
    found = reproduction(params, CONF)
    assert found.exact
    assert expected is None or overrides(found.command) == expected
    again = parse_params(compose_raw(*overrides(found.command)), "again")
    assert again == params


def test_speed_is_no_part_of_it(compose_params: Callable[..., Params]) -> None:
    found = reproduction(compose_params("runtime.workers=1", "runtime.device=cpu"), CONF)
    assert found.exact
    assert "runtime" not in found.command


def test_a_command_that_only_names_the_study_says_so(compose_raw: Callable[..., Any], tmp_path: Path) -> None:
    params = parse_params(compose_raw("study=demo"), "conf")
    assert not reproduction(params, tmp_path / "none").exact
    elsewhere = params.model_copy(update={"study": params.study.model_copy(update={"name": "mine"})})
    found = reproduction(elsewhere, CONF)
    assert (found.command, found.exact) == ("dvc exp run -S study=mine -S budget=smoke", False)
