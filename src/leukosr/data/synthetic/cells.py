"""The five leukocytes of the synthetic smears, drawn from the features by which a haematologist distinguishes them.

Each function draws one class into a square field in µm; `LEUKOCYTES` maps class names to them. Sizes and
features follow the usual morphology of a stained film (Bain, Blood Cells: A Practical Guide, chapter 3).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leukosr.data.synthetic.nuclei import Sheet, folded_nucleus, lobed_nucleus
from leukosr.data.synthetic.shapes import Field, axes, blob, coverage, ellipse, ridge, union
from leukosr.data.synthetic.stain import Colour, Stain

_EDGE = 0.16  # µm over which a cell's edge fades: about the resolving power of an oil-immersion lens


@dataclass(frozen=True)
class Leukocyte:
    """One drawn cell: optical density (H, W, 3) and the coverage of cell and nucleus (H, W) in [0, 1]."""

    density: Field
    cell: Field
    nucleus: Field


def draw_leukocyte(cell_class: str, reach: float, scale: float, stain: Stain, rng: np.random.Generator) -> Leukocyte:
    """Draw one cell of a class in `LEUKOCYTES`, at the centre of a square with sides of 2 * `reach` µm."""
    x, y = axes(int(np.ceil(reach * scale)), scale)
    return LEUKOCYTES[cell_class](Sheet(x, y, scale, stain, rng))


def _over(density: Field, colour: Colour, strength: Field | float, cover: Field) -> Field:
    """Blend a part of the given colour and strength over the density, by its coverage."""
    part = np.asarray(strength, np.float32)[..., None] * colour
    return density + cover[..., None] * (part - density)


def _cytoplasm(outline: Field, colour: Colour, strength: Field | float) -> Field:
    """Optical density of an otherwise empty cell, a little denser along its membrane."""
    cell = coverage(outline, _EDGE)
    strength = (strength + 0.14 * ridge(outline + 0.18, 0.25)) * cell
    return strength[..., None] * colour


def _clumped(sheet: Sheet, edge: Field, contrast: float = 1.0) -> Field:
    """Strength of condensed chromatin: dark clumps on a somewhat paler ground, and the nuclear membrane."""
    clumps = np.tanh(1.4 * sheet.noise(0.8)) * 0.19 + np.tanh(sheet.noise(0.35)) * 0.1
    return (0.98 + contrast * clumps + 0.14 * ridge(edge + 0.2, 0.25)).astype(np.float32)


def neutrophil(sheet: Sheet) -> Leukocyte:
    """Three to five lobes linked by thin filaments in pale pink cytoplasm with fine granules."""
    rng, stain = sheet.rng, sheet.stain
    radius = rng.uniform(5.7, 6.9)
    outline = blob(sheet.x, sheet.y, radius, rng.uniform(1.0, 1.14), 0.025, (2, 3, 4, 5), rng=rng)
    count = int(rng.choice((3, 4, 5), p=(0.45, 0.38, 0.17)))
    size = {3: (1.65, 2.05), 4: (1.45, 1.8), 5: (1.25, 1.5)}[count]
    radii = rng.uniform(*size, count) * radius / 6.2
    edge = np.maximum(lobed_nucleus(sheet, radii, radius - 0.5, rng.uniform(0.18, 0.3), 0.5), outline + 0.3)
    nucleus = coverage(edge, 0.25)
    density = _cytoplasm(outline, stain.pink, 0.85 + 0.12 * sheet.noise(1.5) + 0.08 * sheet.noise(0.4))
    if rng.random() < 0.35:  # acid buffer: a rosy ground, in colour near to an eosinophil's
        rosy = coverage(outline + 0.5 + 0.3 * sheet.noise(1.5), 1.0)
        density = _over(density, stain.eosin, 0.7, rng.uniform(0.2, 0.6) * rosy)
    # Toxic granulation: in some cells the granules are as dark as a pale eosinophil's or basophil's.
    toxic = rng.random() < 0.2
    fine = sheet.granules(rng.uniform(0.3, 0.42), rng.uniform(0.6, 0.8), rng.uniform(0.5, 0.8))
    density = _over(density, stain.azure, 0.95, fine * coverage(outline + 0.3, 0.5) * (0.85 if toxic else 0.5))
    density = _over(density, stain.chromatin, _clumped(sheet, edge), nucleus)
    return Leukocyte(density, coverage(outline, _EDGE), nucleus)


def eosinophil(sheet: Sheet) -> Leukocyte:
    """Two lobes in a cell packed with coarse, bright orange-red granules."""
    rng, stain = sheet.rng, sheet.stain
    radius = rng.uniform(5.8, 7.1)
    outline = blob(sheet.x, sheet.y, radius, rng.uniform(1.0, 1.18), 0.025, (2, 3, 4, 5), rng=rng)
    count = 3 if rng.random() < 0.12 else 2
    radii = rng.uniform(*((2.0, 2.5) if count == 2 else (1.65, 1.95)), count) * radius / 6.4
    edge = np.maximum(lobed_nucleus(sheet, radii, radius - 0.3, rng.uniform(0.3, 0.7), 0.2), outline + 0.3)
    nucleus = coverage(edge, 0.25)
    density = _cytoplasm(outline, stain.pink, 0.8 + 0.15 * sheet.noise(1.2))
    flush = coverage(outline + 0.5 + 0.3 * sheet.noise(1.5), 1.0)
    # Buffer too alkaline: the granules turn a dusky mauve, near to a neutrophil's ground at low resolution.
    dusk = rng.uniform(0.3, 0.75) if rng.random() < 0.4 else rng.uniform(0.0, 0.15)
    eosin = (1 - dusk) * stain.eosin + dusk * stain.azure
    density = _over(density, eosin, 0.7, rng.uniform(0.35, 0.75) * flush)
    # A cell that has released part of its granules looks emptier and paler.
    fill = rng.uniform(0.55, 0.75) if rng.random() < 0.2 else rng.uniform(0.85, 1.0)
    diameter = rng.uniform(0.7, 0.95)
    coarse = sheet.granules(diameter, diameter * 0.95, fill) * coverage(outline + 0.35, 0.5)
    tone = rng.uniform(0.8, 1.05) + 0.12 * sheet.noise(2.5)
    density = _over(density, eosin, tone, np.clip(1.15 * coarse, 0, 1))
    density = _over(density, stain.chromatin, _clumped(sheet, edge), nucleus)
    # A few granules lie above the nucleus.
    density = _over(density, eosin, 1.3, 0.35 * coarse * nucleus * coverage(sheet.noise(2.0) + 0.9, 0.5))
    return Leukocyte(density, coverage(outline, _EDGE), nucleus)


def basophil(sheet: Sheet) -> Leukocyte:
    """Coarse blue-black granules that partly cover a poorly defined, bilobed nucleus."""
    rng, stain = sheet.rng, sheet.stain
    radius = rng.uniform(5.1, 6.3)
    outline = blob(sheet.x, sheet.y, radius, rng.uniform(1.0, 1.16), 0.04, (2, 3, 5, 7, 9), rng=rng)
    radii = rng.uniform(2.2, 2.8, 2) * radius / 5.8
    lobes = lobed_nucleus(sheet, radii, radius - 0.2, rng.uniform(0.9, 1.5), 0.3)
    edge = np.maximum(lobes + 0.25 * sheet.noise(1.2), outline + 0.35)
    nucleus = coverage(edge, 0.9)
    density = _cytoplasm(outline, stain.pink, 1.25 + 0.25 * sheet.noise(1.3))
    density = _over(density, stain.azure, 0.7, 0.5 * coverage(outline + 0.6 + 0.5 * sheet.noise(1.5), 1.0))
    density = _over(density, stain.chromatin, rng.uniform(0.72, 0.9) * _clumped(sheet, edge, 1.3), nucleus)
    diameter = rng.uniform(0.6, 0.9)
    # The granules dissolve in water: badly fixed cells keep fewer of them.
    fill = rng.uniform(0.4, 0.9)
    dark = sheet.granules(diameter, diameter * 1.12, fill) * coverage(outline + 0.15, 0.4)
    density = _over(density, stain.basic, rng.uniform(0.85, 1.1), dark * (1 - 0.25 * nucleus))
    return Leukocyte(density, coverage(outline, _EDGE), coverage(edge, 0.25))


def lymphocyte(sheet: Sheet) -> Leukocyte:
    """A small cell that a round, dense nucleus fills up to a thin rim of pale blue cytoplasm."""
    rng, stain = sheet.rng, sheet.stain
    large = rng.random() < 0.3
    core = rng.uniform(4.0, 5.0) if large else rng.uniform(3.3, 4.1)
    rim = rng.uniform(0.9, 1.9) if large else rng.uniform(0.35, 0.9)
    outline = blob(sheet.x, sheet.y, core + rim, rng.uniform(1.0, 1.12), rng.uniform(0.02, 0.07), (2, 3, 4, 6), rng=rng)
    turn, shift = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.85) * rim
    dx, dy = np.float32(shift * np.cos(turn)), np.float32(shift * np.sin(turn))
    edge = blob(sheet.x - dx, sheet.y - dy, core, rng.uniform(1.0, 1.12), 0.03, (2, 3, 4), rng=rng)
    if rng.random() < 0.4:  # one shallow dent
        dent = ellipse(
            sheet.x - dx,
            sheet.y - dy,
            (core * 1.1 * np.cos(turn), core * 1.1 * np.sin(turn)),
            (1.3, 0.9),
            turn + np.pi / 2,
        )
        edge = -union(-edge, dent, 0.5)
    edge = np.maximum(edge, outline + 0.22)
    nucleus = coverage(edge, 0.25)
    tone = rng.uniform(0.55, 1.1) + 0.1 * sheet.noise(0.8) - 0.25 * ridge(edge - 0.3, 0.4)
    density = _cytoplasm(outline, stain.pale_blue, tone)
    if large:  # large granular lymphocytes carry a few azurophilic granules
        density = _over(density, stain.azure, 1.0, 0.8 * sheet.granules(0.45, 1.3, 0.3) * coverage(outline + 0.4, 0.3))
    density = _over(density, stain.chromatin, rng.uniform(0.98, 1.12) * _clumped(sheet, edge, 0.75), nucleus)
    return Leukocyte(density, coverage(outline, _EDGE), nucleus)


def monocyte(sheet: Sheet) -> Leukocyte:
    """The largest cell: a folded, lacy, paler nucleus in grey-blue cytoplasm, now and then with vacuoles."""
    rng, stain = sheet.rng, sheet.stain
    radius = rng.uniform(6.7, 8.6)
    outline = blob(sheet.x, sheet.y, radius, rng.uniform(1.0, 1.22), 0.045, (2, 3, 4, 5, 7), rng=rng)
    outline = outline + 0.12 * sheet.noise(1.2)
    edge = np.maximum(folded_nucleus(sheet, radius), outline + 0.4)
    nucleus = coverage(edge, 0.35)
    ground = rng.uniform(0.85, 1.15) + 0.12 * sheet.noise(2.0) + 0.12 * sheet.noise(0.4)
    density = _cytoplasm(outline, stain.grey_blue, ground)
    dust = sheet.granules(0.3, 0.9, 0.4) * coverage(outline + 0.5, 0.6)
    density = _over(density, stain.azure, 0.9, 0.45 * dust)
    lace = 1 - np.minimum(np.abs(sheet.noise(1.1)), 1.5) / 1.5
    strength = 0.7 + 0.3 * lace + 0.08 * sheet.noise(0.45) + 0.12 * ridge(edge + 0.2, 0.25)
    fold = ridge(sheet.noise(5.0) + 0.3, 0.12)
    density = _over(density, stain.chromatin, rng.uniform(0.84, 0.98) * strength + 0.16 * fold, nucleus)
    if rng.random() < 0.55:
        holes = sheet.granules(rng.uniform(0.6, 1.1), 1.7, rng.uniform(0.15, 0.6))
        holes = holes * coverage(outline + 0.6, 0.6) * coverage(sheet.noise(4.0) + 0.2, 0.6) * (1 - 0.8 * nucleus)
        density = density * (1 - 0.85 * np.clip(1.4 * holes, 0, 1))[..., None]
    return Leukocyte(density, coverage(outline, _EDGE), nucleus)


LEUKOCYTES: dict[str, Callable[[Sheet], Leukocyte]] = {
    "basophil": basophil,
    "eosinophil": eosinophil,
    "lymphocyte": lymphocyte,
    "monocyte": monocyte,
    "neutrophil": neutrophil,
}
