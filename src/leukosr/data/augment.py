"""Random changes to training images of classifiers."""

from __future__ import annotations

import numpy as np

BRIGHTNESS = 0.3  # at strength 1: gain within 1 +- 0.3, shift within +- 0.3 of the range
CONTRAST = 0.3


def augment(images: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Flip each image at random along both axes, and change its contrast and brightness by up to `strength`.

    images: uint8 N x H x W x 3; the same type and shape comes back. strength: 0 (nothing, not even flips) to 1.
    """
    if strength == 0:
        return images
    changed = np.empty_like(images)
    for number, image in enumerate(images):
        rows, columns = (slice(None, None, -1 if rng.integers(2) else 1) for _ in range(2))
        gain = 1 + strength * CONTRAST * rng.uniform(-1, 1)
        shift = 255 * strength * BRIGHTNESS * rng.uniform(-1, 1)
        table = np.clip(np.rint((np.arange(256) - 127.5) * gain + 127.5 + shift), 0, 255).astype(np.uint8)
        changed[number] = table[image[rows, columns]]
    return changed
