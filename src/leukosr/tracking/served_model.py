"""The logged model: what `mlflow.pyfunc.load_model` runs, without pickles, from a safetensors file alone.

MLflow keeps this file and the package's code beside the weights ("model from code"), so LeukoSR need not be installed
where the model is loaded. Input: a table with a column `image`, of any sizes, each cell the bytes of an image file,
these bytes in base64 (which is what JSON can hold), or uint8 pixels H x W x 3. Output: of a classifier a table with
`predicted`, `p_<CLASS>` and `warnings`, as `leukosr predict` writes it; of a generator one with `image`, the enlarged
images as PNG in base64.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

from leukosr.classify.panel import Panel
from leukosr.engine.weights import read_tensors
from leukosr.errors import LeukoError
from leukosr.images.reading import large_enough, png_bytes, read_bytes
from leukosr.settings import Precision
from leukosr.superres.upscaler import upscale_images
from leukosr.superres.weights import load_generator

TILE, OVERLAP = 256, 64  # of LR images, in pixels: memory stays bounded whatever is posted


class Computed:
    """How a generator computes here."""

    precision: Precision = "fp32"
    channels_last = True


class ServedModel(PythonModel):
    """A classifier or a generator, by the header of the weights."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights; on the CPU, so that a model serves wherever it is loaded."""
        path, self.device = Path(context.artifacts["weights"]), torch.device("cpu")
        _, header = read_tensors(path, required=("architecture",))
        self.panel = Panel.load([path], self.device) if "classes" in header else None
        self.generator = None if self.panel is not None else load_generator(path)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The answer for each image, in the order of the input.

        Raises MlflowException, which a server answers with its sentence, for anything but an image.
        """
        try:
            return self._answers(model_input)
        except LeukoError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None

    def _answers(self, model_input: pd.DataFrame) -> pd.DataFrame:
        images = [large_enough(image_of(cell), "the image") for cell in model_input["image"]]
        if self.panel is not None:
            return pd.DataFrame([self.panel.answer(image) for image in images])
        assert self.generator is not None
        network, scale = self.generator.model, self.generator.scale
        made = upscale_images(network, images, scale, Computed(), self.device, batch=1, tile=TILE, overlap=OVERLAP)
        return pd.DataFrame({"image": [base64.b64encode(png_bytes(each)).decode() for each in made]})


def image_of(cell: Any) -> np.ndarray:
    """An image, uint8 H x W x 3, from a cell of the input. Raises LeukoError for anything else."""
    if isinstance(cell, str):
        try:
            cell = base64.b64decode(cell, validate=True)
        except binascii.Error as error:
            raise LeukoError(
                f"the image is text, but not base64 ({error}): send the bytes of a file in base64"
            ) from None
    if isinstance(cell, bytes):
        return read_bytes(cell)
    try:
        pixels = np.asarray(cell)
    except ValueError as error:
        raise LeukoError(f"the image is not a table of pixels ({error}): send H x W x 3 whole numbers") from None
    if (
        pixels.ndim != 3
        or not pixels.size
        or pixels.shape[2] != 3
        or pixels.dtype.kind not in "iu"
        or not 0 <= pixels.min() <= pixels.max() <= 255
    ):
        raise LeukoError(
            f"the image has shape {pixels.shape} and type {pixels.dtype}: send H x W x 3 whole numbers, 0 to 255"
        )
    return pixels.astype(np.uint8)


mlflow.models.set_model(ServedModel())
