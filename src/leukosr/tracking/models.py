"""Weights as models of MLflow, and the registered one of an experiment."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models.signature import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

import leukosr
from leukosr.data.synthetic.smears import draw_source
from leukosr.engine.weights import read_header
from leukosr.images.reading import png_bytes

SERVED_MODEL = Path(__file__).with_name("served_model.py")
CODE = Path(leukosr.__file__).parent
CHAMPION = "champion"
# packages that the served code imports; MLflow adds itself
NEEDED = ("torch", "torchvision", "timm", "safetensors", "numpy", "scipy", "pandas", "opencv-python-headless", "pillow",
          "simplejpeg", "pydantic", "pyyaml", "psutil", "rich")  # fmt: skip


def log_model(weights: Path, name: str) -> str:
    """Log a classifier's or a generator's weights (safetensors) as a model of the active run; its URI."""
    header = read_header(weights)
    with warnings.catch_warnings():
        # the signature is given, so MLflow need not guess one from type hints or an input example
        warnings.simplefilter("ignore", UserWarning)
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(SERVED_MODEL),
            artifacts={"weights": str(weights)},
            signature=_signature(header),
            input_example=_example(),
            code_paths=[str(CODE)],
            pip_requirements=requirements(),
            metadata={key: header[key] for key in ("architecture", "classes", "study", "budget") if key in header},
        )
    return str(logged.model_uri)


def register(uri: str, name: str, description: str) -> None:
    """Make a logged model the newest version of a registered one, and its champion."""
    client = MlflowClient()
    with suppress(MlflowException):  # it is there already; any other fault comes up again in the next call
        client.create_registered_model(name)
    model_id = uri.rpartition("/")[2]
    version = client.create_model_version(name, uri, description=description, model_id=model_id).version
    client.set_registered_model_alias(name, CHAMPION, version)


def requirements() -> list[str]:
    """`NEEDED` at the installed versions, without a build's local label (+cpu), which is on no package index."""
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in NEEDED]


def _signature(header: Mapping[str, str]) -> ModelSignature:
    """Images, as `served_model` takes them, to named classes or to images."""
    images = Schema([ColSpec(AnyType(), "image")])
    if "classes" not in header:
        return ModelSignature(images, Schema([ColSpec(DataType.string, "image")]))
    chances = [ColSpec(DataType.double, f"p_{name}") for name in json.loads(header["classes"])]
    words = [ColSpec(DataType.string, name) for name in ("predicted", "warnings")]
    return ModelSignature(images, Schema([words[0], *chances, words[1]]))


def _example() -> pd.DataFrame:
    """A drawn cell as a server takes it: no patient's travels with a model."""
    cell = draw_source("neutrophil", (64, 64), np.random.default_rng(0)).image
    return pd.DataFrame({"image": [base64.b64encode(png_bytes(cell)).decode()]})
