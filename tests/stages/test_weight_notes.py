"""What the weights of a study say of themselves, and what `leukosr predict` makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from leukosr.classify.confidence import Validation
from leukosr.classify.predict import predict_path
from leukosr.data.manifest import read_manifest
from leukosr.engine.weights import read_header
from leukosr.images.appearance import TrainingImages
from leukosr.stages import classify
from leukosr.stages.context import Context
from leukosr.tables import read_own_table

from .conftest import Study


@pytest.mark.parametrize("folder", ["classify/raw/paper/weights/seed-1", "sr/srgan/last", "sr/srgan/best"])
def test_weights_say_where_they_come_from_and_what_they_were_trained_on(folder: str, inside: Study) -> None:
    path = inside.layout.root / f"{folder}.safetensors"
    header = read_header(path)
    images = TrainingImages.read(header, path)
    assert (header["study"], header["budget"]) == ("demo", "smoke")
    assert images is not None and images.drawn and images.height == images.width == (16, 16)


def test_predict_says_of_test_images_what_the_study_said(small_resnet: None, inside: Study) -> None:
    results = inside.layout.classify("raw", "paper")
    stored = read_own_table(results / "predictions.csv")
    columns = [name for name in map(str, stored) if name.startswith("p_")]
    expected = stored.set_index("image")[columns].astype(float).groupby("image").mean()
    precision = read_header(results / "weights" / "seed-1.safetensors")["precision"]
    found = predict_path(
        inside.layout.arm("raw"), inside.layout.root / "classify" / "raw", sr=None, explain=None, threshold=None,
        most_errors=0.05, precision=precision, device_name="cpu",
    )  # fmt: skip
    table = found.table.assign(image=found.table["image"].str.removesuffix(".png")).set_index("image")
    assert np.allclose(table.loc[expected.index, columns], expected, atol=1e-5 if precision == "fp32" else 0.02)
    assert all(word in found.done.notes[0] for word in ("drawn", "smoke"))
    assert set(table["warnings"]) == {""} and set(table["sure"]) == {""}


def test_a_classifier_with_a_validation_part_says_how_sure_it_may_be(
    small_resnet: None, inside: Study, quiet: Console, tmp_path: Path
) -> None:
    recipe = inside.params.classify["raw"].classifier.model_copy(update={"validation": 0.5})
    params = inside.params.with_classifier("raw", recipe)
    classify.run(Context(params, inside.layout, quiet, tmp_path / "raw"), "raw", [1])
    (file,) = (tmp_path / "raw" / "weights").iterdir()
    found = Validation.read(read_header(file), file)
    assert found is not None and len(found.labels) >= len(params.prepare.classes or "12345")
    assert set(found.images) < {row.id for row in read_manifest(inside.layout.manifest)}
