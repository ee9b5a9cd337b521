"""Weights as ONNX files that compute what torch computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.confidence import Validation
from leukosr.classify.panel import Panel
from leukosr.classify.settings import Architecture
from leukosr.classify.weights import save_classifier
from leukosr.errors import LeukoError
from leukosr.superres import GENERATORS
from leukosr.superres.upscaler import upscale_batch
from leukosr.superres.weights import save_generator

pytest.importorskip("onnxscript", reason="comes with the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="comes with the extra onnx")

from leukosr.classify.onnx_export import export_onnx  # noqa: E402
from leukosr.superres.enhance import How  # noqa: E402

pytestmark = pytest.mark.slow  # each export takes seconds


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def run(path: Path, pixels: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batch = pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255
    return session.run(None, {"image": batch})[0], session.get_modelmeta().custom_metadata_map


def test_a_classifier_gives_its_calibrated_probabilities_for_images_of_any_size(
    small_resnet: None, tmp_path: Path
) -> None:
    said = np.array([[0.9, 0.1]] * 30)
    validation = Validation.of(list(map(str, range(30))), said, np.array([0] * 20 + [1] * 10), ["a", "b"])
    note = {Validation.key: validation.model_dump_json()}
    architecture, weights = Architecture(backbone="resnet50"), tmp_path / "w.safetensors"
    save_classifier(weights, ClassifierNetwork(architecture, 2), architecture, ["a", "b"], None, note)
    assert export_onnx(weights, tmp_path / "w.onnx") <= 1e-5
    panel = Panel.load([weights], torch.device("cpu"))
    for pixels in (image(40, 52), image(65, 33)):
        found, facts = run(tmp_path / "w.onnx", pixels)
        assert np.allclose(found[0], panel.probabilities(pixels), atol=1e-5)
    assert json.loads(facts["classes"]) == ["a", "b"]


@pytest.mark.parametrize("architecture", ["srgan", "vdsr"])
def test_a_generator_enlarges_rgb_of_any_size_whatever_its_own_channels(architecture: str, tmp_path: Path) -> None:
    registered = GENERATORS[architecture]
    arguments = dict(registered.tiny)
    network = registered(scale=2, **arguments).eval()
    save_generator(tmp_path / "w.safetensors", network, architecture, 2, arguments)
    export_onnx(tmp_path / "w.safetensors", tmp_path / "w.onnx")
    pixels = image(21, 30)
    found, facts = run(tmp_path / "w.onnx", pixels)
    (wanted,) = upscale_batch(network, [pixels], How("fp32"), torch.device("cpu"))
    assert facts["scale"] == "2"
    assert np.abs(np.rint(found[0].transpose(1, 2, 0) * 255) - wanted).max() <= 1


@pytest.mark.parametrize("apart", [[1.0, 0.0], [0.0, 1.0], [float("nan"), 0.0], [0.0, float("nan")]])
def test_what_differs_from_torch_is_not_written(
    apart: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = GENERATORS["srgan"]
    save_generator(
        tmp_path / "w.safetensors", registered(scale=2, **registered.tiny), "srgan", 2, dict(registered.tiny)
    )
    found = iter(apart)  # of both shapes that are compared
    monkeypatch.setattr("leukosr.classify.onnx_export._difference", lambda *_: next(found))
    with pytest.raises(LeukoError, match="onnxruntime differs from torch"):
        export_onnx(tmp_path / "w.safetensors", tmp_path / "w.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
