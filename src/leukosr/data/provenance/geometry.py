"""Is one image an affine view of another? Matched features, a consensus, and the pixels that both show."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from pydantic import Field

from leukosr.data.provenance.features import DETAIL, Features, mirrored
from leukosr.settings import Fraction, Probability, Section


class Limits(Section):
    """What a pair of images must reach to show one source."""

    inliers: int = Field(default=5, ge=4, description="features that one affine map must take onto each other")
    tolerance: float = Field(
        default=2.0, gt=0, description="within so many pixels, of an image whose longer side is 160"
    )
    similarity: Probability = Field(
        default=0.5, description="least correlation of the details where both images show something"
    )
    overlap: Fraction = Field(default=0.1, description="least share of the smaller image where both show something")
    zoom: float = Field(default=2.5, gt=1, description="largest change of size that a view may have")
    stretch: float = Field(default=2.0, gt=1, description="largest ratio of the axes that a view may have")


@dataclass(frozen=True)
class View:
    """How well image b is seen in image a. `transform` is 2 x 3, small pictures' pixels of a to those of b."""

    transform: np.ndarray
    inliers: int
    similarity: float
    overlap: float

    def accepted(self, limits: Limits) -> bool:
        """Whether the two show one source."""
        return (
            self.inliers >= limits.inliers and self.similarity >= limits.similarity and self.overlap >= limits.overlap
        )

    @property
    def confidence(self) -> float:
        """In [0, 1]: correlation of the details, weighed down where few features agree."""
        return float(max(0.0, self.similarity) * (1 - np.exp(-self.inliers / 6)))


NO_VIEW = View(np.zeros((2, 3)), 0, 0.0, 0.0)


def best_view(a: Features, b: Features, flipped: bool, limits: Limits) -> View:
    """The best affine map of image a onto image b, mirrored if `flipped`; NO_VIEW where there is no plausible one."""
    first, second = matches(mirrored(a.descriptors) if flipped else a.descriptors, b.descriptors)
    if len(first) < 4:
        return NO_VIEW
    transform, inside = cv2.estimateAffine2D(
        a.points[first],
        b.points[second],
        method=cv2.RANSAC,
        ransacReprojThreshold=limits.tolerance,
        maxIters=2000,
        confidence=0.999,
        refineIters=10,
    )
    if transform is None or not _plausible(transform, flipped, limits):
        return NO_VIEW
    inliers = len(np.unique(np.rint(b.points[second][inside.ravel() > 0]), axis=0))
    similarity, overlap = _agreement(a, b, transform)
    return View(transform, inliers, similarity, overlap)


def matches(a: np.ndarray, b: np.ndarray, ratio: float = 0.85) -> tuple[np.ndarray, np.ndarray]:
    """Indices of descriptors that are each other's nearest, clearly nearer than the next (Lowe 2004; RootSIFT)."""
    if len(a) < 2 or len(b) < 2:
        return np.zeros(0, int), np.zeros(0, int)
    likeness = rooted(a) @ rooted(b).T
    nearest = likeness.argmax(1)
    rows = np.arange(len(a))
    best = likeness[rows, nearest]
    back = likeness.argmax(0)
    likeness[rows, nearest] = -1
    second = likeness.max(1)
    clear = (1 - best) < ratio**2 * (1 - second)  # squared distances are 2 (1 - likeness)
    good = clear & (back[nearest] == rows)
    return rows[good], nearest[good]


def rooted(descriptors: np.ndarray) -> np.ndarray:
    """RootSIFT (Arandjelovic & Zisserman 2012): float32, unit length, so that a product is a likeness."""
    values = descriptors.astype(np.float32)
    values /= np.maximum(values.sum(1, keepdims=True), 1e-6)
    return np.asarray(np.sqrt(values))


def _plausible(transform: np.ndarray, flipped: bool, limits: Limits) -> bool:
    linear = transform[:, :2]
    large, small = np.linalg.svd(linear, compute_uv=False)
    return bool(
        small > 0
        and large <= limits.zoom
        and small >= 1 / limits.zoom
        and large / small <= limits.stretch
        and (np.linalg.det(linear) < 0) == flipped
    )


def _agreement(a: Features, b: Features, transform: np.ndarray) -> tuple[float, float]:
    """Correlation of the details where both images show something, and how much of the smaller one that is."""
    size = (DETAIL, DETAIL)
    moved = cv2.warpAffine(a.detail.astype(np.float32), transform, size, flags=cv2.INTER_LINEAR)
    shown = cv2.warpAffine(a.content.astype(np.uint8), transform, size, flags=cv2.INTER_NEAREST) > 0
    common = shown & b.content
    area = abs(np.linalg.det(transform[:, :2]))
    smaller = min(a.content.sum() * area, b.content.sum())
    overlap = float(common.sum() / max(smaller, 1))
    one, other = moved[common], b.detail[common].astype(np.float32)
    if len(one) < 100:
        return 0.0, overlap
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return (float((one * other).sum()) / norm if norm > 0 else 0.0), overlap
