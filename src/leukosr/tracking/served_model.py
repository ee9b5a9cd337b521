"""The logged model: what `mlflow.pyfunc.load_model` runs, without pickles, from a safetensors file alone.

MLflow keeps this file beside the weights ("model from code"). Input: N x H x W x 3 uint8 RGB, any N and any size; a
classifier shrinks larger images to the size that it was trained at. Output: class probabilities N x classes for a
classifier, N x H·scale x W·scale x 3 uint8 for a generator.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow.pyfunc import PythonModel, PythonModelContext

from leukosr.classify.weights import load_classifier
from leukosr.engine.device import to_batch, to_uint8
from leukosr.engine.weights import read_tensors
from leukosr.images.resampling import shrink_into
from leukosr.superres.edge import input_of, output_of
from leukosr.superres.weights import load_generator


class ServedModel(PythonModel):
    """A classifier or a generator, by the header of the weights."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights; on the CPU, so that a model serves wherever it is loaded."""
        path = Path(context.artifacts["weights"])
        _, header = read_tensors(path, required=("architecture",))
        self.is_classifier = "classes" in header
        self.size: tuple[int, int] | None = None
        if self.is_classifier:
            loaded = load_classifier(path)
            self.classifier, self.size = loaded.model, loaded.size
        else:
            self.generator = load_generator(path).model

    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Probabilities or upscaled images of a batch."""
        with torch.inference_mode():
            images = np.asarray(model_input, dtype=np.uint8)
            if self.size is not None:
                images = np.stack([shrink_into(image, self.size) for image in images])
            batch = to_batch(images, torch.device("cpu"), channels_last=True)
            if self.is_classifier:
                return torch.softmax(self.classifier(batch).double(), 1).numpy()
            output = self.generator(*input_of(self.generator, batch))
            return to_uint8(output_of(self.generator, output, batch)).numpy()


mlflow.models.set_model(ServedModel())
