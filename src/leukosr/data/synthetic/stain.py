"""The stain of a synthetic smear: what each part of blood absorbs, and how it varies between slides.

Light through a stained film follows Beer and Lambert: intensity = illumination * exp(-optical density), so
parts are drawn as optical densities (one value per colour channel) and overlaps darken by themselves.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float32]

# Two looks between which every slide falls: a warm May-Grünwald-Giemsa film on a bright beige ground with
# deep violet nuclei, and a Wright film on a neutral ground with bright purple nuclei and salmon red cells.
_WARM = {
    "background": (250, 226, 200),
    "red_cell": (190, 147, 152),
    "chromatin": (74, 30, 132),
    "pink": (224, 186, 187),
    "pale_blue": (148, 142, 190),
    "grey_blue": (168, 148, 186),
    "eosin": (182, 92, 98),
    "azure": (146, 92, 158),
    "basic": (52, 20, 104),
}
_NEUTRAL = {
    "background": (222, 222, 216),
    "red_cell": (186, 142, 138),
    "chromatin": (112, 72, 196),
    "pink": (206, 180, 212),
    "pale_blue": (146, 152, 218),
    "grey_blue": (178, 175, 208),
    "eosin": (198, 84, 112),
    "azure": (152, 100, 192),
    "basic": (64, 40, 146),
}


@dataclass(frozen=True)
class Stain:
    """One slide's colours: `background` in (0, 1], the others optical densities; float32 RGB triples."""

    background: Colour
    red_cell: Colour
    chromatin: Colour
    pink: Colour
    pale_blue: Colour
    grey_blue: Colour
    eosin: Colour
    azure: Colour
    basic: Colour


def draw_stain(rng: np.random.Generator) -> Stain:
    """Draw one slide: a place between the two looks, then jitter of hue, dyes and exposure."""
    blend = rng.beta(0.7, 0.7)
    warm, neutral = (
        {name: np.asarray(rgb, np.float32) / 255 for name, rgb in look.items()} for look in (_WARM, _NEUTRAL)
    )
    background = (1 - blend) * warm.pop("background") + blend * neutral.pop("background")
    strength = float(np.clip(rng.normal(1.0, 0.13), 0.7, 1.35))
    # The acidity of the buffer shifts the balance of the two dyes: eosin (red) against azure (blue).
    balance = float(np.clip(rng.normal(0.0, 0.1), -0.22, 0.22))
    hue = rng.normal(1.0, 0.035, 3)
    dyes = {}
    for name in warm:
        density = -(1 - blend) * np.log(warm[name] / np.asarray(_WARM["background"]) * 255)
        density -= blend * np.log(neutral[name] / np.asarray(_NEUTRAL["background"]) * 255)
        side = 1 + balance if name in ("red_cell", "eosin", "pink") else 1 - balance
        dyes[name] = (density * strength * side * hue * rng.normal(1.0, 0.05)).astype(np.float32)
    cast = rng.normal(1.0, 0.01, 3) * rng.normal(1.0, 0.03)
    return Stain(background=np.clip(background * cast, 0.3, 1.0).astype(np.float32), **dyes)
