"""Classifiers and generators as ONNX, checked against torch under onnxruntime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from leukosr.classify.confidence import Validation
from leukosr.classify.weights import load_classifier
from leukosr.engine.weights import SUFFIX, read_header
from leukosr.errors import LeukoError
from leukosr.files import new_file
from leukosr.superres.edge import input_of, output_of
from leukosr.superres.networks import Generator
from leukosr.superres.weights import load_generator

NEAR = 1e-4  # the largest difference from torch, of probabilities or of pixels in [0, 1]
TRACED, OTHER = (2, 3, 64, 80), (1, 3, 96, 72)  # shapes of the images that are exported with and checked on


class Probabilities(nn.Module):
    """A classifier from images to calibrated probabilities."""

    def __init__(self, classifier: nn.Module, temperature: float) -> None:
        super().__init__()
        self.classifier, self.temperature = classifier, temperature

    def forward(self, image: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [0, 1] to N x classes."""
        return torch.softmax(self.classifier(image) / self.temperature, 1)


class Enlarged(nn.Module):
    """A generator from RGB to RGB, whatever its own channels."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor) -> Tensor:
        """N x 3 x h x w RGB in [0, 1] to N x 3 x scale*h x scale*w, clipped to [0, 1]."""
        made = self.generator(*input_of(self.generator, image))
        return output_of(self.generator, made, image).clamp(0, 1)


def export_onnx(weights: Path, out: Path) -> float:
    """Write weights as ONNX of dynamic batch and size; the largest difference from torch that was found.

    Input `image`: float32 N x 3 x H x W RGB in [0, 1]. Output: `probabilities`, or the enlarged `image_sr`. The file's
    metadata hold classes, the size to shrink to and the temperature, or the scale. Raises LeukoError for weights that
    cannot be used or exported, and where onnxruntime computes something other than torch; then no file is left.
    """
    if out.suffix != ".onnx":
        raise LeukoError(f"{out}: ONNX files end in .onnx, name it so")
    network, output, facts = _network(weights)
    with new_file(out) as temporary:
        _write(network.eval(), temporary, output, facts)
        # NumPy's maximum: that of Python drops a NaN that does not come first
        apart = float(np.max([_difference(network, temporary, shape) for shape in (TRACED, OTHER)]))
        if not apart <= NEAR:
            raise LeukoError(
                f"{weights}: onnxruntime differs from torch by {apart:.2g}, so nothing is written: use torch"
            )
    return apart


def _network(weights: Path) -> tuple[nn.Module, str, dict[str, str]]:
    if weights.suffix == SUFFIX and "classes" in (header := read_header(weights)):
        loaded, validation = load_classifier(weights), Validation.read(header, weights)
        temperature = 1.0 if validation is None else validation.temperature
        facts = {"classes": header["classes"], "size": header["size"], "temperature": str(temperature)}
        return Probabilities(loaded.model, temperature), "probabilities", facts
    generator = load_generator(weights)
    if generator.model.contract.masks or generator.model.contract.size is not None:
        raise LeukoError(f"{weights} needs masks or images of one size, which are not exported: use weights of another")
    return Enlarged(generator.model), "image_sr", {"scale": str(generator.scale)}


def _write(network: nn.Module, path: Path, output: str, facts: Mapping[str, str]) -> None:
    import onnx

    dynamic = torch.export.Dim.DYNAMIC
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own deprecations
        try:
            torch.onnx.export(
                network,
                (torch.zeros(TRACED),),
                str(path),
                input_names=["image"],
                output_names=[output],
                dynamo=True,
                dynamic_shapes=({0: dynamic, 2: dynamic, 3: dynamic},),
                external_data=False,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            first = str(error).strip().splitlines()[0]
            raise LeukoError(f"this network cannot be exported ({first}): use another, or torch") from error
    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(facts))
    onnx.save(model, path)


def _difference(network: nn.Module, path: Path, shape: tuple[int, ...]) -> float:
    import onnxruntime

    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = network(image).numpy()
    (found,) = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
        None, {"image": image.numpy()}
    )
    return float(np.abs(found - wanted).max()) if found.shape == wanted.shape else float("inf")
