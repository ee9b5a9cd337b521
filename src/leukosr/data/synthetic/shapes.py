"""Drawing primitives of the synthetic smears: distance fields, textures and granules on a grid in µm.

A distance field is a float32 array that is negative inside a shape and positive outside, roughly in
micrometres. Shapes are combined as fields and become a soft coverage in [0, 1] only at the end, so edges stay
smooth and lobes merge without seams.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

_DIRECTIONS = 4096


def axes(half: int, scale: float) -> tuple[Field, Field]:
    """The x and y coordinates in µm of a square of (2 * half + 1)² pixels with the origin at its centre."""
    line = np.arange(-half, half + 1, dtype=np.float32) / np.float32(scale)
    x, y = np.meshgrid(line, line)
    return x, y


def blob(
    x: Field,
    y: Field,
    radius: float,
    elongation: float,
    wobble: float,
    harmonics: Sequence[int],
    *,
    rng: np.random.Generator,
) -> Field:
    """Distance field of a closed, smooth, randomly oriented outline around the origin.

    `elongation` is the ratio of the long to the short axis; each harmonic k moves the edge by about
    `wobble * radius / sqrt(k)` along its k bumps.
    """
    turn, stretch = rng.uniform(0, 2 * math.pi), math.sqrt(elongation)
    u = (math.cos(turn) * x + math.sin(turn) * y) / stretch
    v = (math.cos(turn) * y - math.sin(turn) * x) * stretch
    # The edge is tabulated over all directions: far fewer cosines than pixels.
    direction = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)
    edge = np.full(_DIRECTIONS, radius)
    for k in harmonics:
        height = radius * wobble * rng.uniform(0.4, 1.0) / np.sqrt(k)
        edge += height * np.cos(k * direction + rng.uniform(0, 2 * np.pi))
    index = (np.arctan2(v, u) * np.float32(_DIRECTIONS / (2 * np.pi))).astype(np.int32) % _DIRECTIONS
    return np.hypot(u, v) - edge.astype(np.float32)[index]


def ellipse(x: Field, y: Field, centre: tuple[float, float], radii: tuple[float, float], turn: float) -> Field:
    """Distance field (approximate) of an ellipse whose first radius points along the angle `turn`."""
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    u = (math.cos(turn) * dx + math.sin(turn) * dy) / radii[0]
    v = (math.cos(turn) * dy - math.sin(turn) * dx) / radii[1]
    return ((np.hypot(u, v) - 1) * min(radii)).astype(np.float32)


def strand(x: Field, y: Field, points: Sequence[tuple[float, float]], radius: float) -> Field:
    """Distance field of a tube of the given radius along a polyline of at least two points."""
    nearest: Field | None = None
    for (ax, ay), (bx, by) in pairwise(points):
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
        distance = np.hypot(x - ax - along * dx, y - ay - along * dy)
        nearest = distance if nearest is None else np.minimum(nearest, distance)
    assert nearest is not None
    return (nearest - radius).astype(np.float32)


def arc(centre: tuple[float, float], radius: float, start: float, span: float) -> list[tuple[float, float]]:
    """Points along a circular arc, for `strand`."""
    angles = [start + span * i / 8 for i in range(9)]
    return [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in angles]


def union(first: Field, second: Field, blend: float) -> Field:
    """The union of two shapes, the joint rounded over about `blend` µm."""
    overlap = np.clip(0.5 + 0.5 * (second - first) / blend, 0, 1)
    return (second + (first - second) * overlap - blend * overlap * (1 - overlap)).astype(np.float32)


def coverage(distance: Field, softness: float) -> Field:
    """Soft membership in [0, 1] of a shape; the edge is `softness` µm wide."""
    t = np.clip(0.5 - distance / softness, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def ridge(distance: Field, width: float) -> Field:
    """A bump in [0, 1] that follows the zero line of a field: membranes, folds, rims."""
    return np.exp(-np.square(distance / np.float32(width))).astype(np.float32)


def texture(shape: tuple[int, int], grain: float, rng: np.random.Generator) -> Field:
    """Smooth noise of mean 0 and standard deviation near 1 whose features are about `grain` pixels wide."""
    # White noise is blurred on a lattice of half the grain before it is enlarged: enlarging alone would
    # leave the lattice's straight edges in every outline. The factor restores the standard deviation.
    step = max(grain / 2, 1.0)
    blur = grain / (2 * step)
    rows, cols = (int(np.ceil(side / step)) + 1 for side in shape)
    coarse = rng.standard_normal((rows, cols), dtype=np.float32)
    coarse = cv2.GaussianBlur(coarse, (0, 0), blur) * np.float32(2 * np.sqrt(np.pi) * blur)
    size = (int(np.ceil(cols * step)), int(np.ceil(rows * step)))
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine[: shape[0], : shape[1]], np.float32)


def granules(
    shape: tuple[int, int], scale: float, diameter: float, spacing: float, fill: float, rng: np.random.Generator
) -> Field:
    """Strength in [0, 1] of round granules all over a field of `shape` pixels, `scale` pixels per µm.

    They sit on a jittered lattice of the given spacing (µm), where a share `fill` of the places is taken, so
    that they crowd without piling up, as in a cell.
    """
    height, width = shape
    rows, cols = (int(np.ceil(side / scale / spacing)) + 1 for side in shape)
    place = np.stack(np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij"), axis=-1).reshape(-1, 2)
    # Every other row is shifted by half a place: hexagonal packing leaves no visible columns.
    at = place + np.stack([np.zeros(len(place)), 0.5 * (place[:, 0] % 2)], axis=1)
    at = ((at + rng.uniform(-0.42, 0.42, at.shape)) * spacing * scale).astype(int)
    strength = rng.uniform(0.55, 1.0, len(at)).astype(np.float32)
    keep = (rng.random(len(at)) < fill) & (at >= 0).all(axis=1) & (at < (height, width)).all(axis=1)
    size = rng.choice((0.75, 1.0, 1.25), len(at))
    field = np.zeros(shape, np.float32)
    for factor in (0.75, 1.0, 1.25):
        chosen = keep & (size == factor)
        points = np.zeros(shape, np.float32)
        points[at[chosen, 0], at[chosen, 1]] = strength[chosen]
        across = max(1, round(diameter * factor * scale))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
        field = np.maximum(field, cv2.dilate(points, disc))
    return np.asarray(cv2.GaussianBlur(field, (0, 0), max(0.3, diameter * scale / 6)), np.float32)
