"""LPIPS (Zhang et al., CVPR 2018): how differently two images look, by the features of a trained network."""

from __future__ import annotations

import http.client
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from leukosr.errors import LeukoError
from leukosr.evaluate.settings import LPIPSNetwork

if TYPE_CHECKING:
    import torch

FILES = {"alex": "AlexNet", "squeeze": "SqueezeNet1_1", "vgg": "VGG16"}  # torchvision's networks


def perceptual_distance(network: LPIPSNetwork, device: torch.device) -> Callable[[np.ndarray, np.ndarray], float]:
    """LPIPS of two uint8 RGB images of one size, H x W x 3: 0 for equal ones, in fp32.

    The linear layers come with torchmetrics; the network's ImageNet weights are torchvision's, which downloads them
    once. Raises LeukoError where these are neither on disk nor to be had.
    """
    import torch
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    try:
        measure = LearnedPerceptualImagePatchSimilarity(network, normalize=True).to(device).eval()
    except (OSError, RuntimeError, EOFError, http.client.HTTPException, pickle.UnpicklingError) as error:
        import torchvision.models

        url = getattr(torchvision.models, f"{FILES[network]}_Weights").IMAGENET1K_V1.url
        raise LeukoError(
            f"quality.perceptual = {network}: the ImageNet weights of {FILES[network]} could not be fetched ({error}); "
            f"connect to the internet, or put {url} into {torch.hub.get_dir()}/checkpoints; or set quality.perceptual "
            "to null"
        ) from error

    def distance(image: np.ndarray, truth: np.ndarray) -> float:
        left, right = (
            torch.from_numpy(np.ascontiguousarray(each)).permute(2, 0, 1)[None].to(device).float() / 255
            for each in (image, truth)
        )
        with torch.inference_mode():
            return float(measure(left, right))

    return distance
