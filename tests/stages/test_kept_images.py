"""An arm that a network makes goes on where it was cut."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from leukosr.config import Generated, Params
from leukosr.data.manifest import Row
from leukosr.engine.resume import ROOT
from leukosr.layout import Layout
from leukosr.stages import upscale
from leukosr.stages.context import Context
from leukosr.stages.kept_images import KeptImages
from leukosr.superres import GENERATORS
from leukosr.superres.weights import save_generator

from .conftest import Study


@pytest.fixture
def context(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A copy of the tiny study without the images of its arms."""
    shutil.copytree(study.folder, tmp_path / "study", ignore=shutil.ignore_patterns("arms", ".leukosr", "mlruns"))
    monkeypatch.chdir(tmp_path / "study")
    return Context(study.params, Layout("demo"), Console(file=io.StringIO(), width=200))


def cut_after(count: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Interrupt the stage when it has kept so many images; the ids of all that are kept are noted."""
    kept: list[str] = []
    keep = KeptImages.keep

    def counted(self: KeptImages, row: Row, image: np.ndarray) -> None:
        if len(kept) == count:
            raise KeyboardInterrupt
        keep(self, row, image)
        kept.append(row.id)

    monkeypatch.setattr(KeptImages, "keep", counted)
    return kept


def with_size(params: Params, arm: str, size: tuple[int, int]) -> Params:
    changed = params.upscale[arm].model_copy(update={"size": size})
    return params.model_copy(update={"upscale": {**params.upscale, arm: changed}})


def batch_of(params: Params, arm: str) -> int:
    settings = params.upscale[arm]
    assert isinstance(settings, Generated)
    return settings.batch


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_cut_arm_goes_on_with_the_batch_that_was_cut_and_makes_the_same_bytes(
    study: Study, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(study.params, "srgan")
    with monkeypatch.context() as patch:
        first = cut_after(batch + 2, patch)
        with pytest.raises(KeyboardInterrupt):
            upscale.run(context, "srgan")
    assert not context.layout.arm("srgan").exists(), "nothing half-made under its name"
    second = cut_after(1000, monkeypatch)
    upscale.run(context, "srgan")
    made, whole = bytes_of(context.layout.arm("srgan")), bytes_of(study.outputs / "arms" / "srgan")
    assert made == whole
    every = sorted(name.removesuffix(".png") for name in made if name.endswith(".png"))
    assert sorted([*first[:batch], *second]) == every
    assert f"{batch} of {len(every)} images are there already" in context.console.file.getvalue()  # type: ignore[attr-defined]
    assert not any(ROOT.iterdir()), "the state is gone when the arm is there"


@pytest.mark.parametrize("changed", ["settings", "weights"])
def test_images_of_other_work_are_not_taken(
    context: Context, tiny_params: Params, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        cut_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            upscale.run(context, "srgan")
    if changed == "settings":
        context = replace(context, params=with_size(tiny_params, "srgan", (32, 32)))
    else:
        other = GENERATORS["srgan"](scale=4, features=4, blocks=1)
        save_generator(Path("outputs/demo/sr/srgan/last.safetensors"), other, "srgan", 4, {"features": 4, "blocks": 1})
    made = cut_after(1000, monkeypatch)
    upscale.run(context, "srgan")
    assert len(made) == sum(name.endswith(".png") for name in bytes_of(context.layout.arm("srgan")))
