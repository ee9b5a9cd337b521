"""Weights as models of MLflow."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import mlflow
import numpy as np
from mlflow.models.signature import ModelSignature
from mlflow.types import Schema, TensorSpec
from safetensors import safe_open

SERVED_MODEL = Path(__file__).with_name("served_model.py")


def log_model(weights: Path) -> None:
    """Log a classifier's or a generator's weights (safetensors) as a model of the active run."""
    with warnings.catch_warnings():
        # the signature is given, so MLflow need not guess one from type hints or an input example
        warnings.simplefilter("ignore", UserWarning)
        mlflow.pyfunc.log_model(
            name="model",
            python_model=str(SERVED_MODEL),
            artifacts={"weights": str(weights)},
            signature=_signature(weights),
            # LeukoSR is not on a package index: the environment that logged a model can load it
            pip_requirements=["torch", "torchvision", "safetensors"],
        )


def _signature(weights: Path) -> ModelSignature:
    """Any number of uint8 images of any size to class probabilities, or to images of any size."""
    with safe_open(weights, framework="np") as file:
        classes = file.metadata().get("classes")
    images = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))
    if classes is None:
        return ModelSignature(Schema([images]), Schema([images]))
    return ModelSignature(Schema([images]), Schema([TensorSpec(np.dtype(np.float64), (-1, len(json.loads(classes))))]))
