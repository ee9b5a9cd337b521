"""What surrounds the leukocyte in a synthetic smear: light, red cells and platelets."""

from dataclasses import dataclass

import numpy as np

from leukosr.data.synthetic.shapes import Field, axes, blob, coverage, granules, ridge, texture
from leukosr.data.synthetic.stain import Stain


@dataclass(frozen=True)
class _RedCellHabit:
    """How the red cells of one slide look: µm, fractions of their thickness, and shares of the cells."""

    radius: float
    pallor: float
    crenated: float
    crowding: float
    rim: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_RedCellHabit":
        return cls(
            radius=rng.uniform(3.3, 3.8),
            pallor=rng.uniform(0.4, 1.0),
            crenated=0.5 if rng.random() < 0.1 else 0.01,
            crowding=rng.uniform(0.6, 1.6),
            rim=rng.uniform(0.0, 0.3),
        )


def illumination(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Brightness (H, W) near 1 of the bare slide: a slope, a little vignetting and faint plasma."""
    v, u = np.meshgrid(*(np.linspace(-1, 1, side, dtype=np.float32) for side in shape), indexing="ij")
    slope, turn = rng.uniform(0, 0.035), rng.uniform(0, 2 * np.pi)
    light = 1 + slope * (np.cos(turn) * u + np.sin(turn) * v) - rng.uniform(0, 0.03) * (u * u + v * v)
    light += 0.004 * texture(shape, max(shape) / 9, rng)
    return light.astype(np.float32)


def paste_box(shape: tuple[int, int], row: int, col: int, half: int) -> tuple[tuple[slice, slice], ...] | None:
    """Where a patch of (2 * half + 1)² around (row, col) meets a canvas: canvas and patch slices, or None."""
    canvas, patch = [], []
    for middle, side in ((row, shape[0]), (col, shape[1])):
        first, last = max(middle - half, 0), min(middle + half + 1, side)
        if first >= last:
            return None
        canvas.append(slice(first, last))
        patch.append(slice(first - middle + half, last - middle + half))
    return (canvas[0], canvas[1]), (patch[0], patch[1])


def _red_cell(scale: float, habit: _RedCellHabit, rng: np.random.Generator) -> Field:
    """Thickness of one red cell relative to its thickest part, from the biconcave disc of Evans and Fung.

    E. Evans and Y.-C. Fung, "Improved measurements of the erythrocyte geometry", Microvascular Research 4
    (1972): t(r) = sqrt(1 - r²) (0.81 + 7.83 r² - 4.39 r⁴) µm.
    """
    radius = habit.radius * float(np.clip(rng.normal(1, 0.085), 0.75, 1.25))
    half = int(np.ceil(radius * 1.55 * scale))
    x, y = axes(half, scale)
    long = 1 + abs(rng.normal(0, 0.1))
    spiky = rng.random() < habit.crenated
    outline = blob(x, y, radius, long, 0.09 if spiky else 0.035, (2, 11, 13, 16) if spiky else (2, 3, 4, 5), rng=rng)
    inward = np.clip(1 + outline / radius, 0, 1)
    # The pallor is seldom quite central, and drying flattens many cells on one side.
    shift = rng.normal(0, 0.06, 2) * radius
    towards = 1 + 0.08 * (x * shift[0] + y * shift[1]) / radius
    r2 = np.square(np.clip(inward * towards, 0, 1))
    biconcave = np.sqrt(np.clip(1 - r2 * r2 * r2, 0, 1)) * (0.81 + 7.83 * r2 - 4.39 * r2 * r2) / 4.0
    dome = 0.82 + 0.12 * np.sqrt(1 - 0.9 * r2)
    pallor = habit.pallor * (rng.uniform(0.0, 0.25) if rng.random() < 0.2 else rng.uniform(0.55, 1.0))
    thickness = pallor * biconcave + (1 - pallor) * dome + habit.rim * ridge(outline + 0.22, 0.2)
    # Drying on glass deepens the dimple beyond that of the cell in plasma.
    thickness *= 1 - 0.75 * pallor * np.exp(-r2 / rng.uniform(0.1, 0.3))
    thickness *= rng.normal(1, 0.06) + 0.03 * texture(x.shape, 1.5 * scale, rng)
    return (thickness * coverage(outline, 0.2)).astype(np.float32)


def red_cells(
    shape: tuple[int, int], scale: float, leukocyte: tuple[float, float, float], rng: np.random.Generator
) -> Field:
    """Red-cell thickness (H, W) over a field of `shape` pixels, `scale` pixels per µm.

    `leukocyte` is its centre (row, column) in pixels and its radius in µm; red cells only lean against it.
    Some overlap each other or are cut by the border.
    """
    habit = _RedCellHabit.draw(rng)
    height, width = (side / scale for side in shape)
    row, col, radius = leukocyte[0] / scale, leukocyte[1] / scale, leukocyte[2]
    field = np.zeros(shape, np.float32)
    centres: list[tuple[float, float]] = []
    for _ in range(int(height * width / 30 * habit.crowding)):
        cy, cx = rng.uniform(-2.5, height + 2.5), rng.uniform(-2.5, width + 2.5)
        # Most cells lie apart; a share overlaps its neighbour, as in rouleaux.
        gap = 2 * habit.radius * (rng.uniform(0.45, 0.9) if rng.random() < 0.3 else 1.0)
        if np.hypot(cy - row, cx - col) < radius + 0.9 * habit.radius:
            continue
        if any(np.hypot(cy - oy, cx - ox) < gap for oy, ox in centres):
            continue
        centres.append((cy, cx))
        cell = _red_cell(scale, habit, rng)
        box = paste_box(shape, round(cy * scale), round(cx * scale), cell.shape[0] // 2)
        if box is None:
            continue
        canvas, patch = box
        below, above = field[canvas], cell[patch]
        # Overlapping cells flatten each other, so densities add only in part.
        field[canvas] = np.maximum(below, above) + 0.4 * np.minimum(below, above)
    return field


def lay_platelets(
    density: Field, scale: float, leukocyte: tuple[float, float, float], stain: Stain, rng: np.random.Generator
) -> None:
    """Add up to six platelets (small, purple, granular) to the optical density (H, W, 3), in place."""
    for _ in range(int(rng.choice(7, p=(0.12, 0.2, 0.23, 0.18, 0.13, 0.09, 0.05)))):
        row, col = rng.uniform(0, density.shape[0]), rng.uniform(0, density.shape[1])
        radius = rng.uniform(0.8, 1.5)
        if np.hypot(row - leukocyte[0], col - leukocyte[1]) / scale < leukocyte[2] + 1.2 * radius:
            continue
        if density[int(row), int(col)].max() > 0.05:  # on a red cell it would pass for a parasite
            continue
        half = int(np.ceil(2 * radius * scale))
        box = paste_box(density.shape[:2], round(row), round(col), half)
        if box is None:
            continue
        canvas, patch = box
        x, y = axes(half, scale)
        outline = blob(x, y, radius, rng.uniform(1.0, 1.5), 0.09, (2, 3, 4, 5), rng=rng)
        inner = granules(x.shape, scale, 0.4, 0.5, 0.8, rng) * coverage(outline + 0.25 * radius, 0.7 * radius)
        strength = rng.uniform(0.25, 0.45) * coverage(outline, 0.3) + rng.uniform(0.4, 1.0) * inner
        density[canvas] += strength[patch][..., None] * stain.azure
