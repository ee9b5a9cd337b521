"""`auto` is what the hardware computes natively, resolved once; nothing unresolved reaches a network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from leukosr.config import Params
from leukosr.engine import precision
from leukosr.engine.device import autocast
from leukosr.engine.precision import bf16_is_native, resolve, resolve_precision
from leukosr.engine.processes import Processes
from leukosr.engine.resume import Resume
from leukosr.errors import LeukoError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def pretend(patch: pytest.MonkeyPatch, features: dict[str, bool], supported: bool = True) -> None:
    """A processor with these features, and an oneDNN that takes bf16 or not."""
    patch.setattr(torch.cpu, "get_capabilities", lambda: features)
    patch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        patch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("features", "limit", "native"),
    [
        ({"avx2": True}, "", False),
        ({"avx2": True, "avx512_f": True}, "", False),  # oneDNN takes bf16 there, and emulates it
        ({"avx512_bf16": True}, "", True),
        ({"amx_bf16": True}, "", True),
        ({"bf16": True}, "", True),  # ARM
        ({"avx512_bf16": True}, "AVX2", False),
        ({"avx512_bf16": True}, "avx512_core", False),
        ({"avx512_bf16": True}, "AVX512_CORE_BF16", True),
        ({"amx_bf16": True}, "DEFAULT", True),
    ],
)
def test_a_cpu_has_bf16_where_it_has_instructions_that_may_be_used(
    features: dict[str, bool], limit: str, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, features)
    if limit:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert bf16_is_native(CPU) is native
    assert resolve("auto", CPU) == ("bf16" if native else "fp32")


def test_a_cpu_whose_library_takes_no_bf16_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {"avx512_bf16": True}, supported=False)
    assert not bf16_is_native(CPU)


@pytest.mark.parametrize(("capability", "native"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_cuda_device_has_bf16_from_ampere_on(
    capability: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert bf16_is_native(CUDA) is native


def test_a_limited_processor_is_seen_as_one() -> None:
    """What the libraries themselves say under the variables that make a newer processor behave like an AVX2 one."""
    limits = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    code = (
        "import torch; from leukosr.engine.precision import resolve; "
        "print(torch.backends.cpu.get_cpu_capability(), resolve('auto', torch.device('cpu')))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **limits}, capture_output=True, text=True, check=True
    )
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("the variables say something to x86 processors alone")
    assert answer.stdout.split() == ["AVX2", "fp32"]


def test_an_explicit_bf16_is_obeyed_and_its_cost_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, {"avx2": True})
    assert resolve("bf16", CPU) == "bf16"
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "a hundred times the time of fp32" in said
    pretend(monkeypatch, {"avx512_bf16": True})
    assert [resolve(word, CPU) for word in ("bf16", "fp32", "auto")] == ["bf16", "fp32", "bf16"]
    assert capsys.readouterr().err == ""


def test_every_section_that_computes_is_resolved(
    compose_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, {"avx2": True})
    params = compose_params()
    assert params.budget.precision == "auto"
    sections: list[Any] = [params.classifier, *params.train_sr.values(), params.upscale["srgan"]]
    for section in sections:
        assert section.precision == "auto"
        assert resolve_precision(section, CPU) == section.model_copy(update={"precision": "fp32"})


@pytest.mark.parametrize("budget", sorted(path.stem for path in Path("conf/budget").glob("*.yaml")))
def test_every_budget_is_auto(budget: str, compose_params: Callable[..., Params]) -> None:
    assert compose_params("study=case1", f"budget={budget}").budget.precision == "auto"


def test_all_processes_compute_in_what_the_first_one_resolves(
    compose_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broadcast:
        def broadcast(self, value: str) -> str:
            return "bf16"

    monkeypatch.setattr(precision, "resolve", lambda *_: pytest.fail("only the first process looks"))
    second = Processes(rank=1, count=2, fabric=Broadcast())
    assert resolve_precision(compose_params().classifier, CPU, second).precision == "bf16"


def test_an_unresolved_precision_never_reaches_a_network() -> None:
    with pytest.raises(ValueError, match="auto"), autocast(CPU, "auto"):
        pass


def test_a_cut_training_is_not_finished_in_another_precision(tmp_path: Path) -> None:
    cut = Resume.computed_in("bf16", "0123", 0, tmp_path)
    cut.save("training", {"step": torch.tensor(7)})
    assert cut.folder.name == "0123-bf16"
    with pytest.raises(LeukoError, match=r"in bf16, but this one would continue in fp32: set precision to bf16"):
        Resume.computed_in("fp32", "0123", 0, tmp_path)
    assert Resume.computed_in("fp32", "4567", 0, tmp_path).load("training") is None
    again = Resume.computed_in("bf16", "0123", 0, tmp_path).load("training")
    assert again is not None
    assert again["step"] == 7
    cut.clear()
    assert Resume.computed_in("fp32", "0123", 0, tmp_path).load("training") is None
